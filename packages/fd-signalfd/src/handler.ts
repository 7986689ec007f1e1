import type { SignalfdEntry } from '@crts/image-io';
import {
  type Arg,
  type FdDumpContext,
  type FdFacts,
  type FdHandler,
  type FileRecord,
  type Program,
  setStatusFlags,
} from '@crts/plugin-api';
import { unknownFdinfo } from './errors';

const FD_TYPE_SIGNALFD = 9;
const O_NONBLOCK = 0o4000;
const SIGSET_BYTES = 8;

export const signalfdHandler: FdHandler = {
  name: 'fd-signalfd',

  match: (fd) => (fd.link === 'anon_inode:[signalfd]' ? 10 : 0),

  /** signalfd_show_fdinfo(), fs/signalfd.c: bit n-1 for signal n. */
  dump(fd: FdFacts, context: FdDumpContext): FileRecord {
    const mask = /^sigmask:\s*([0-9a-f]+)$/m.exec(fd.fdinfo)?.[1];
    if (mask === undefined) throw unknownFdinfo(fd.pid, fd.fd);
    const value: SignalfdEntry = {
      id: context.id,
      flags: fd.flags,
      fown: context.fown as SignalfdEntry['fown'],
      sigmask: BigInt(`0x${mask}`),
    };
    return { type: FD_TYPE_SIGNALFD, field: 'sgfd', value };
  },

  owns: (record) => record.field === 'sgfd',

  /** SIGKILL and SIGSTOP in the set are left out by the kernel; every set is possible. */
  plan(record: FileRecord, program: Program): Arg {
    const { sigmask, flags } = record.value as SignalfdEntry;
    const set = Buffer.alloc(SIGSET_BYTES);
    set.writeBigUInt64LE(sigmask);
    const made = flags & O_NONBLOCK;
    const fd = program.call('signalfd4', [-1, program.bytes(set), SIGSET_BYTES, made], { what: 'make a signalfd' });
    setStatusFlags(program, fd, flags, made);
    return fd;
  },
};
