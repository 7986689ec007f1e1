/** What a dump asks of every descriptor of a task, in one native call for many of them. */
import type { FdFacts } from '@crts/plugin-api';
import { addon } from './addon';
import { SyscallError } from './errors';
import { descriptorRecord } from './struct/tables';
import { syscall } from './syscall';

/** A descriptor as fstat, fstatfs, fcntl, readlink and /proc/PID/fdinfo show it (man 5 proc). */
export interface DescribedFd
  extends Pick<
    FdFacts,
    'fd' | 'mode' | 'uid' | 'gid' | 'dev' | 'ino' | 'rdev' | 'sizeBytes' | 'nlink' | 'fsType' | 'fdinfo'
  > {
  /** The engine's duplicate, open until the visitor returns; without a pidfd the descriptor itself. */
  readonly local: number;
  /** Bytes of the link, ` (deleted)` included. */
  readonly link: Buffer;
  /** F_GETOWN_EX, F_GETSIG and F_GETOWNER_UIDS; pid 0: none. */
  readonly owner: {
    readonly type: number;
    readonly pid: number;
    readonly signal: number;
    readonly uid: number;
    readonly euid: number;
  };
}

const OUT_BYTES = 256 * 1024;
/** An epoll with a million targets has some 100 MiB of fdinfo. */
const OUT_MAX = 1024 * 1024 * 1024;
/** By the numbers of native/include/descriptor.h. */
const STEPS = ['', 'pidfd_getfd', 'fstat', 'fstatfs', 'readlink', 'read of fdinfo'];

let shared = Buffer.alloc(0);

/**
 * Describes descriptors of a stopped task, in their order. `pidfd` undefined: `pid` is the engine and they are its own.
 * @throws SyscallError naming the call, the path and the descriptor
 */
export function visitDescriptors<T>(
  pid: number,
  pidfd: number | undefined,
  numbers: readonly number[],
  visit: (described: DescribedFd) => T,
): T[] {
  const found: T[] = [];
  const fds = Int32Array.from(numbers);
  if (shared.length === 0) shared = Buffer.alloc(OUT_BYTES);
  let out = shared;
  while (found.length < fds.length) {
    const count = addon().describe(pid, pidfd ?? -1, fds, found.length, out);
    if (count < 0) {
      const fd = out.readInt32LE(4);
      throw new SyscallError(`${STEPS[out.readInt32LE(0)]}(fd ${fd})`, -count, undefined, `/proc/${pid}/fd/${fd}`);
    }
    if (count === 0) {
      if (out.length >= OUT_MAX) throw new SyscallError('read of fdinfo', 27, undefined, `/proc/${pid}/fdinfo`);
      out = Buffer.alloc(out.length * 4);
      continue;
    }
    visitRecords(fds, found, count, out, pidfd !== undefined, visit);
  }
  return found;
}

function visitRecords<T>(
  fds: Int32Array,
  found: T[],
  count: number,
  out: Buffer,
  isBorrowed: boolean,
  visit: (described: DescribedFd) => T,
): void {
  // A visitor may ask for other descriptors, which takes the same buffer.
  const records: DescribedFd[] = [];
  for (let at = 0; records.length < count; at += descriptorRecord.get(out, 'record_size', at))
    records.push(recordAt(out, at, fds[found.length + records.length]!));
  try {
    for (const record of records) found.push(visit(record));
  } finally {
    if (isBorrowed) for (const { local } of records) syscall('close', local);
  }
}

function recordAt(out: Buffer, at: number, fd: number): DescribedFd {
  const view = new DataView(out.buffer, out.byteOffset + at, descriptorRecord.size);
  const u32 = (offset: number) => view.getUint32(offset, true);
  const i32 = (offset: number) => view.getInt32(offset, true);
  const u64 = (offset: number) => view.getBigUint64(offset, true);
  const { offsets, size } = descriptorRecord;
  const linkAt = at + size;
  const fdinfoAt = linkAt + u32(offsets.link_size);
  return {
    fd,
    local: i32(offsets.local),
    mode: u32(offsets.mode),
    uid: u32(offsets.uid),
    gid: u32(offsets.gid),
    dev: u64(offsets.dev),
    ino: u64(offsets.ino),
    rdev: u64(offsets.rdev),
    sizeBytes: u64(offsets.size),
    nlink: u64(offsets.nlink),
    fsType: u64(offsets.fs_type),
    link: Buffer.from(out.subarray(linkAt, fdinfoAt)),
    fdinfo: out.toString('latin1', fdinfoAt, fdinfoAt + u32(offsets.fdinfo_size)),
    owner: {
      type: i32(offsets.owner_type),
      pid: i32(offsets.owner_pid),
      signal: i32(offsets.owner_signal),
      uid: u32(offsets.owner_uid),
      euid: u32(offsets.owner_euid),
    },
  };
}
