import { type BigIntStats, lstatSync, statSync } from 'node:fs';
import type { RegFileEntry } from '@crts/image-io';
import {
  type Arg,
  encodeName,
  type FdDumpContext,
  type FdFacts,
  type FdHandler,
  type FdPlanContext,
  type FileRecord,
  type Program,
} from '@crts/plugin-api';
import { buildId } from './build-id';
import { badEntry, changed, gone, locked, unsupportedLock } from './errors';
import { checkReachable } from './identity';

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const O_PATH = 0o10000000;
const O_NOFOLLOW = 0o400000;
/** Flags that act while a file is opened and are not kept, or that the engine sets: O_CREAT O_EXCL O_NOCTTY O_TRUNC O_CLOEXEC. */
const NOT_KEPT = 0o100 | 0o200 | 0o400 | 0o1000 | 0o2000000;
/** O_APPEND and write-only files may have grown since: their contents are not in the program's memory. */
const O_ACCMODE = 3;
const O_WRONLY = 1;
const O_APPEND = 0o2000;
const SEEK_SET = 0;
const AT_FDCWD = -100;
const PATH_MAX = 4096;

const OWNED_TYPES = new Set([S_IFREG, S_IFDIR, S_IFLNK]);

export const regularHandler: FdHandler = {
  name: 'fd-regular',

  match: (fd) =>
    OWNED_TYPES.has(fd.mode & S_IFMT) && fd.link.startsWith('/') && !fd.link.startsWith('/memfd:') ? 10 : 0,

  dump(fd: FdFacts, context: FdDumpContext): FileRecord {
    checkReachable(fd);
    checkLocks(fd, context);
    const value: RegFileEntry = {
      id: context.id,
      flags: fd.flags & ~NOT_KEPT,
      pos: fd.pos,
      fown: context.fown as RegFileEntry['fown'],
      name: fd.link,
      mode: fd.mode,
      build_id: [],
    };
    if ((fd.mode & S_IFMT) === S_IFREG) {
      value.size = fd.sizeBytes;
      // Data files have no build id; only what may be a program or library is looked into.
      if ((fd.mode & 0o111) !== 0 || /\.so(\.|$)/.test(fd.link)) value.build_id = buildId(`/proc/self/fd/${fd.local}`);
    }
    return { type: 1, field: 'reg', value };
  },

  owns(record: FileRecord): boolean {
    const mode = (record.value as Partial<RegFileEntry>).mode;
    return record.field === 'reg' && (mode === undefined || OWNED_TYPES.has(mode & S_IFMT));
  },

  collect(record: FileRecord): void {
    const entry = record.value as RegFileEntry;
    if (!entry.name.startsWith('/') || entry.name.includes('\0') || encodeName(entry.name).length >= PATH_MAX)
      throw badEntry(entry.id, `"${entry.name}" is no absolute path`);
    if (entry.pos >= 1n << 63n) throw badEntry(entry.id, `offset ${entry.pos} is out of range`);
    if (entry.ext === true) throw badEntry(entry.id, 'an external file, which crts does not take back yet');
    validate(entry);
  },

  plan(record: FileRecord, program: Program, _context: FdPlanContext): Arg {
    const entry = record.value as RegFileEntry;
    const isLink = ((entry.mode ?? 0) & S_IFMT) === S_IFLNK;
    const flags = (entry.flags & ~NOT_KEPT) | (isLink ? O_NOFOLLOW : 0);
    const fd = program.call('openat', [AT_FDCWD, program.cstring(entry.name), flags, 0], {
      what: `open ${entry.name}`,
      fail: (errno) => gone(entry.name, errno),
    });
    // An O_PATH descriptor has no position: man 2 open.
    if (entry.pos !== 0n && (flags & O_PATH) === 0)
      program.call('lseek', [fd, entry.pos, SEEK_SET], { expect: entry.pos, what: `seek in ${entry.name}` });
    return fd;
  },
};

/** CRIU's default file validation: size, then build id; a file that only ever grows may have grown. */
function validate(entry: RegFileEntry): void {
  const isLink = ((entry.mode ?? 0) & S_IFMT) === S_IFLNK;
  let now: BigIntStats;
  try {
    now = (isLink ? lstatSync : statSync)(encodeName(entry.name), { bigint: true });
  } catch (error) {
    throw gone(entry.name, (error as NodeJS.ErrnoException).code);
  }
  const type = Number(now.mode) & S_IFMT;
  if (entry.mode !== undefined && type !== (entry.mode & S_IFMT)) throw changed(entry.name, 'it is of another type');
  const appended = (entry.flags & O_ACCMODE) === O_WRONLY && (entry.flags & O_APPEND) !== 0;
  if (entry.size !== undefined && type === S_IFREG && !appended && now.size !== entry.size)
    throw changed(entry.name, `size ${now.size}, was ${entry.size}`);
  if (entry.build_id.length > 0) {
    const id = buildId(encodeName(entry.name));
    if (id.length !== entry.build_id.length || id.some((word, index) => word !== entry.build_id[index]))
      throw changed(entry.name, 'another build (build id differs)');
  }
}

/** fdinfo has a `lock:` line for each lock and lease of this description: man 5 proc_pid_fdinfo. */
function checkLocks(fd: FdFacts, context: FdDumpContext): void {
  const subject = { pid: fd.pid, fd: fd.fd, path: fd.link };
  for (const [, kind] of fd.fdinfo.matchAll(/^lock:\s+\d+: (\S+)/gm)) {
    if (kind === 'LEASE' || kind === 'DELEG') throw unsupportedLock(subject, 'lease');
    if (!context.options.fileLocks) throw locked(subject);
  }
}
