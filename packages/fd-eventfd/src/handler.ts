import type { EventfdFileEntry } from '@crts/image-io';
import {
  type Arg,
  type FdDumpContext,
  type FdFacts,
  type FdHandler,
  type FileRecord,
  type Program,
  setStatusFlags,
} from '@crts/plugin-api';
import { badEntry, overflown, unknownFdinfo } from './errors';

const FD_TYPE_EVENTFD = 6;
const EFD_SEMAPHORE = 1;
const O_NONBLOCK = 0o4000;
/** The kernel itself may count this far (eventfd_signal_mask(), fs/eventfd.c), write(2) may not. */
const COUNTER_END = 2n ** 64n - 1n;
/** What eventfd2(2) takes. */
const INITIAL_MAX = 2n ** 32n - 1n;

export const eventfdHandler: FdHandler = {
  name: 'fd-eventfd',

  match: (fd) => (fd.link === 'anon_inode:[eventfd]' ? 10 : 0),

  /** eventfd_show_fdinfo(), fs/eventfd.c: the counter in hex; the semaphore since Linux 6.5. */
  dump(fd: FdFacts, context: FdDumpContext): FileRecord {
    const text = /^eventfd-count:\s*([0-9a-f]+)$/m.exec(fd.fdinfo)?.[1];
    if (text === undefined) throw unknownFdinfo(fd.pid, fd.fd);
    const counter = BigInt(`0x${text}`);
    if (counter === COUNTER_END) throw overflown(fd.pid, fd.fd);
    const value: EventfdFileEntry = {
      id: context.id,
      flags: fd.flags,
      fown: context.fown as EventfdFileEntry['fown'],
      counter,
    };
    if (/^eventfd-semaphore:\s*1$/m.test(fd.fdinfo)) value.crts_semaphore = true;
    return { type: FD_TYPE_EVENTFD, field: 'efd', value };
  },

  owns: (record) => record.field === 'efd',

  collect(record: FileRecord): void {
    const { id, counter } = record.value as EventfdFileEntry;
    if (counter >= COUNTER_END) throw badEntry(id, `counter ${counter}`);
  },

  plan(record: FileRecord, program: Program): Arg {
    const { counter, flags, crts_semaphore } = record.value as EventfdFileEntry;
    const made = flags & O_NONBLOCK;
    const initial = counter <= INITIAL_MAX ? counter : 0n;
    const fd = program.call('eventfd2', [initial, made | (crts_semaphore === true ? EFD_SEMAPHORE : 0)], {
      what: 'make an event counter',
    });
    if (counter !== initial) {
      const word = Buffer.alloc(8);
      word.writeBigUInt64LE(counter);
      program.call('write', [fd, program.bytes(word), 8], { expect: 8, what: `count to ${counter}` });
    }
    setStatusFlags(program, fd, flags, made);
    return fd;
  },
};
