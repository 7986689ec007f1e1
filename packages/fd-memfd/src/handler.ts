import { closeSync, fstatSync, openSync } from 'node:fs';
import type { MemfdFileEntry, MemfdInodeEntry } from '@crts/image-io';
import { errnoName, hugePagesOf, rawSyscall, SyscallError, sharedMemoryDevice } from '@crts/native-syscalls';
import {
  type Arg,
  type FdDumpContext,
  type FdFacts,
  type FdHandler,
  type FdPlanContext,
  type FileRecord,
  type Program,
  setStatusFlags,
} from '@crts/plugin-api';
import { badFile, noInode, strangeDevice } from './errors';
import { checkedInode, heldInode, hugeBytesOf, isAnonymousInode, isLikeOriginal, keyOf, MFD, reopened } from './inode';

const FD_TYPE_MEMFD = 18;
const PREFIX = '/memfd:';
const O_RDWR = 2;
const O_CLOEXEC = 0o2000000;
const O_LARGEFILE = 0o100000;
/** Access mode, O_APPEND, O_NONBLOCK, O_DSYNC, O_ASYNC, O_DIRECT, O_LARGEFILE, O_NOFOLLOW, O_NOATIME, O_SYNC, O_PATH. */
const KNOWN_FLAGS = 0o3 | 0o2000 | 0o4000 | 0o10000 | 0o20000 | 0o40000 | 0o100000 | 0o400000 | 0o1000000 | 0o14010000;
const F_GET_SEALS = 1034;
const SEEK_SET = 0;
const POS_MAX = 2n ** 63n - 1n;

export const memfdHandler: FdHandler = {
  name: 'fd-memfd',

  // A file that was called so and deleted lies on another filesystem: dump() tells.
  match: (fd) => (fd.deleted && (fd.link.startsWith(PREFIX) || isAnonymous(fd)) ? 20 : 0),

  dump(fd: FdFacts, context: FdDumpContext): FileRecord {
    const value: MemfdFileEntry = {
      id: context.id,
      flags: fd.flags & ~O_CLOEXEC,
      pos: fd.pos,
      fown: context.fown as MemfdFileEntry['fown'],
      inode_id: dumpInode(fd, context),
    };
    return { type: FD_TYPE_MEMFD, field: 'memfd', value };
  },

  owns: (record) => record.field === 'memfd',

  collect(record: FileRecord, context: FdPlanContext): void {
    const { id, flags, pos } = record.value as MemfdFileEntry;
    if ((flags & ~KNOWN_FLAGS) !== 0) throw badFile(id, `flags 0${flags.toString(8)}`);
    if (pos > POS_MAX) throw badFile(id, `offset ${pos}`);
    inodeOf(record, context);
  },

  plan(record: FileRecord, program: Program, context: FdPlanContext): Arg {
    const { pos, flags } = record.value as MemfdFileEntry;
    const inode = inodeOf(record, context);
    const what = `${PREFIX}${inode.name}`;
    // As CRIU: whatever is handed back for this name is taken, with its own contents and from its beginning.
    if (context.options.inherit?.fdFor(what) !== undefined)
      return context.openFile(program, { id: record.value.id as number, name: what, ext: true }, flags, { what });
    const held = heldInode(context.shared, inode);
    if (context.shared.first(keyOf(inode))) fill(program, inode, context);
    // execveat(2) of a memfd works by the descriptor that memfd_create(2) gave, and by no other that may write: ETXTBSY.
    const isOriginal =
      !isAnonymousInode(inode) && isLikeOriginal(flags) && context.shared.first(`memfd:${inode.inode_id}:original`);
    const fd = program.receiveFd(isOriginal ? held : context.shared.lend(() => reopened(held, inode, flags)), {
      what: `take ${what}`,
    });
    if (isOriginal) setStatusFlags(program, fd, flags, O_RDWR | O_LARGEFILE);
    if (pos > 0n) program.call('lseek', [fd, pos, SEEK_SET], { expect: pos });
    return fd;
  },
};

/** Describes the memfd at its first description; returns its number in memfd.img. */
function dumpInode(fd: FdFacts, context: FdDumpContext): number {
  const huge = hugePagesOf(Number(fd.dev));
  const { dev, ino, sizeBytes, via } = fd;
  const shmid = context.addSharedMemory({ dev, ino, sizeBytes, via, hugePageBytes: huge?.pageBytes });
  if (!context.first(`memfd:${fd.dev}:${fd.ino}`)) return shmid;
  if (huge === undefined && !isOnSharedMemory(fd.dev)) throw strangeDevice(fd.pid, fd.fd, fd.link);
  const { uid, gid } = fstatSync(fd.local);
  const value: MemfdInodeEntry = {
    // CRIU knows no other name for what has none.
    name: isAnonymous(fd) ? fd.link.slice(1) : fd.link.slice(PREFIX.length),
    uid,
    gid,
    size: fd.sizeBytes,
    shmid,
    seals: sealsOf(fd.local),
    inode_id: BigInt(shmid),
    mode: fd.mode,
    ...(isAnonymous(fd) ? { crts_anonymous: true } : {}),
    ...(huge === undefined ? {} : { hugetlb_flag: MFD.hugeTlb | huge.sizeFlag }),
  };
  context.addItem('memfd', { value: value as unknown as Record<string, unknown> });
  return shmid;
}

/** Shared anonymous memory that was opened through /proc/PID/map_files, or is mapped privately. */
function isAnonymous({ link, dev, deleted }: FdFacts): boolean {
  if (!deleted) return false;
  if (link === '/anon_hugepage') return hugePagesOf(Number(dev)) !== undefined;
  return link === '/dev/zero' && isOnSharedMemory(dev);
}

function isOnSharedMemory(dev: bigint): boolean {
  const { major, minor } = sharedMemoryDevice();
  return dev === (BigInt(major) << 8n) + BigInt(minor);
}

/** The engine's duplicate may be one that only names the file (O_PATH), which fcntl(2) refuses. */
function sealsOf(local: number): number {
  const fd = openSync(`/proc/self/fd/${local}`, 'r');
  try {
    const seals = rawSyscall('fcntl', fd, F_GET_SEALS);
    if (seals < 0) throw new SyscallError('fcntl(F_GET_SEALS)', -seals, errnoName(-seals));
    return seals;
  } finally {
    closeSync(fd);
  }
}

function inodeOf(record: FileRecord, context: FdPlanContext): MemfdInodeEntry {
  const { id, inode_id } = record.value as MemfdFileEntry;
  const found = context.items('memfd').filter(({ value }) => value.inode_id === BigInt(inode_id));
  if (found.length !== 1) throw noInode(id, inode_id, found.length);
  return checkedInode(found[0]!);
}

/** The contents, by a description that nobody has: filling moves its offset. */
function fill(program: Program, inode: MemfdInodeEntry, context: FdPlanContext): void {
  if (inode.size === 0n) return;
  const held = heldInode(context.shared, inode);
  const fd = program.receiveFd(
    context.shared.lend(() => reopened(held, inode, O_RDWR)),
    {
      what: `fill ${PREFIX}${inode.name}`,
    },
  );
  context.shared.fill(program, fd, inode.shmid, inode.size, hugeBytesOf(inode));
  program.call('close', [fd]);
}
