// A plugin of a third party: eventfd (man 2 eventfd). Its state is the counter, O_NONBLOCK and EFD_SEMAPHORE.

const { CrtsError, FD_HANDLER } = require('@crts/plugin-api');

const O_NONBLOCK = 0o4000;
/** `fd_types` and the field of `file_entry` in CRIU's format. */
const EVENTFD = 6;
const COUNTER_MAX = 2n ** 64n - 2n;

const handler = {
  name: 'eventfd',

  match: (fd) => (fd.link === 'anon_inode:[eventfd]' ? 10 : 0),

  dump(fd, context) {
    // eventfd_show_fdinfo(), fs/eventfd.c: the counter in hex; the flag since Linux 6.5.
    const counter = /^eventfd-count:\s*([0-9a-f]+)$/m.exec(fd.fdinfo);
    if (/^eventfd-semaphore:\s*1$/m.test(fd.fdinfo))
      throw new CrtsError({
        code: 'CRTS_EVENTFD_SEMAPHORE',
        kind: 'refused',
        plugin: 'eventfd',
        pid: fd.pid,
        fd: fd.fd,
        what: "the format has no place for an event counter's EFD_SEMAPHORE",
      });
    const value = { id: context.id, flags: fd.flags, fown: context.fown, counter: BigInt(`0x${counter[1]}`) };
    return { type: EVENTFD, field: 'efd', value };
  },

  owns: (record) => record.field === 'efd',

  collect({ value }) {
    if (value.counter > COUNTER_MAX)
      throw new CrtsError({
        code: 'CRTS_IMAGE_FIELD',
        plugin: 'eventfd',
        what: `files.img: efd.counter ${value.counter} is more than an event counter holds`,
      });
  },

  plan({ value }, program) {
    const fd = program.call('eventfd2', [0, value.flags & O_NONBLOCK], { what: 'make an event counter' });
    if (value.counter > 0n) {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(value.counter);
      program.call('write', [fd, program.bytes(bytes), 8], { what: `count to ${value.counter}` });
    }
    return fd;
  },
};

exports.plugin = {
  name: 'crts-plugin-eventfd',
  register: (container) => container.register(FD_HANDLER, { useValue: handler }),
};
