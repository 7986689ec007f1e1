import type { RegFileEntry } from '@crts/image-io';
import type {
  Arg,
  FdDumpContext,
  FdFacts,
  FdHandler,
  FdPlanContext,
  FileRecord,
  FrozenTask,
  Program,
} from '@crts/plugin-api';
import { buildIdOfFd, buildIdOfPath } from './build-id';
import { gone, notOpened, notSought } from './errors';
import { reachableName } from './identity';
import {
  O_ACCMODE,
  O_CLOEXEC,
  O_DIRECT,
  O_PATH,
  O_WRONLY,
  onlyAppends,
  openFlags,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
} from './open-flags';
import { checkEntry, NO_POSITION, validateFile } from './validation';

const FD_TYPE_REG = 1;
const AT_FDCWD = -100;
const SEEK_SET = 0;
/** Size of the smallest ELF header: a shorter file is none. */
const ELF_MIN = 52n;
/** Reading their files asks the kernel or a device, and may act: magics of include/uapi/linux/magic.h. */
const KERNEL_FILESYSTEMS: ReadonlySet<bigint> = new Set([
  0x9fa0n, // proc
  0x62656572n, // sysfs
  0x64626720n, // debugfs
  0x74726163n, // tracefs
  0x62656570n, // configfs
  0x73636673n, // securityfs
  0x27e0ebn, // cgroup
  0x63677270n, // cgroup2
  0xcafe4a11n, // bpf
  0xde5e81e4n, // efivarfs
]);
const OWNED_TYPES: readonly number[] = [S_IFREG, S_IFDIR, S_IFLNK];

export const regularHandler: FdHandler = {
  name: 'fd-regular',

  match: (fd) =>
    OWNED_TYPES.includes(fd.mode & S_IFMT) && fd.link.startsWith('/') && !fd.link.startsWith('/memfd:') ? 10 : 0,

  dump(fd: FdFacts, context: FdDumpContext): FileRecord {
    const value: RegFileEntry = {
      id: context.id,
      flags: fd.flags & ~O_CLOEXEC,
      pos: fd.pos,
      fown: context.fown as RegFileEntry['fown'],
      name: reachableName(fd),
      mode: fd.mode,
      build_id: [],
    };
    // A log that is only appended to may be rotated or grow: CRIU compares the size wherever the image has one.
    if ((fd.mode & S_IFMT) === S_IFREG && !onlyAppends(fd.flags)) {
      value.size = fd.sizeBytes;
      if (context.options.fileValidation !== 'filesize') value.build_id = buildIdOf(fd, context.task);
    }
    return { type: FD_TYPE_REG, field: 'reg', value };
  },

  owns(record: FileRecord): boolean {
    const { mode } = record.value as Partial<RegFileEntry>;
    return record.field === 'reg' && (mode === undefined || OWNED_TYPES.includes(mode & S_IFMT));
  },

  collect(record: FileRecord, context: FdPlanContext): void {
    const entry = record.value as RegFileEntry;
    checkEntry(entry);
    validateFile(entry, context.options);
  },

  plan(record: FileRecord, program: Program): Arg {
    const { name, pos, mode, flags } = record.value as RegFileEntry;
    const fd = program.call(
      'openat',
      [AT_FDCWD, program.cstring(name), openFlags(flags, (mode ?? S_IFREG) & S_IFMT), 0],
      {
        what: `open ${name}`,
        fail: (errno) => (errno === 'ENOENT' ? gone(name) : notOpened(name, errno)),
      },
    );
    // An O_PATH descriptor has no position: man 2 open.
    if (pos !== 0n && pos !== NO_POSITION && (flags & O_PATH) === 0)
      program.call('lseek', [fd, pos, SEEK_SET], {
        expect: pos,
        what: `seek in ${name}`,
        fail: (errno) => notSought(name, pos, errno),
      });
    return fd;
  },
};

/** The task is frozen: a library that is both mapped and open is looked into once. */
const buildIds = new WeakMap<FrozenTask, Map<string, number[]>>();

function buildIdOf(fd: FdFacts, task: FrozenTask): number[] {
  if (fd.sizeBytes < ELF_MIN || KERNEL_FILESYSTEMS.has(fd.fsType)) return [];
  const known = buildIds.get(task) ?? new Map<string, number[]>();
  buildIds.set(task, known);
  const key = `${fd.dev}:${fd.ino}`;
  const id = known.get(key) ?? readBuildIdOf(fd);
  known.set(key, id);
  return id;
}

/** What can be read is read through the borrowed duplicate, by position; the rest is opened anew through /proc. */
function readBuildIdOf(fd: FdFacts): number[] {
  const readable = (fd.flags & (O_PATH | O_DIRECT)) === 0 && (fd.flags & O_ACCMODE) !== O_WRONLY && fd.fd >= 0;
  return readable ? buildIdOfFd(fd.local) : buildIdOfPath(`/proc/self/fd/${fd.local}`);
}
