// A whole plugin: event counters, eventfd(2). Plain JavaScript, no C, nothing of crts but the two symbols of its contract.

/** crts tells plugins apart by this symbol; @crts/plugin-api exports it as FD_HANDLER, with its types. */
const FD_HANDLER = Symbol.for('crts/fd-handler/1');

/** EVENTFD of the image format's fd_types. */
const TYPE = 6;
const EFD_SEMAPHORE = 1;
/** What eventfd2(2) takes and F_GETFL gives: O_NONBLOCK. */
const KEPT_FLAGS = 0o4000;

const handler = {
  name: 'crts-fd-example',

  match: (fd) => (fd.link === 'anon_inode:[eventfd]' ? 10 : 0),

  dump(fd, context) {
    // man 5 proc_pid_fdinfo: the counter in hex, and since Linux 6.2 whether it is a semaphore.
    const counter = /^eventfd-count:\s*([0-9a-f]+)$/m.exec(fd.fdinfo);
    if (counter === null) throw new Error(`fd ${fd.fd}: fdinfo has no eventfd-count`);
    if (/^eventfd-semaphore:\s*1$/m.test(fd.fdinfo))
      throw new Error(`fd ${fd.fd}: semaphores have no field in the format`);
    const value = {
      id: context.id,
      flags: fd.flags & KEPT_FLAGS,
      fown: context.fown,
      counter: BigInt(`0x${counter[1]}`),
    };
    return { type: TYPE, field: 'efd', value };
  },

  owns: (record) => record.field === 'efd',

  plan(record, program) {
    const { counter, flags } = record.value;
    const fd = program.call('eventfd2', [0, flags & KEPT_FLAGS & ~EFD_SEMAPHORE], { what: 'make the counter' });
    // eventfd2 takes a 32-bit start value only; a counter may have 64.
    if (counter > 0n) {
      const start = Buffer.alloc(8);
      start.writeBigUInt64LE(counter);
      program.call('write', [fd, program.bytes(start), 8], { expect: 8, what: `count to ${counter}` });
    }
    return fd;
  },
};

exports.plugin = {
  name: 'crts-fd-example',
  register: (container) => container.register(FD_HANDLER, { useValue: handler }),
};
