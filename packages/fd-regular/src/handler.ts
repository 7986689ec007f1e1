import type { RegFileEntry } from '@crts/image-io';
import {
  type Arg,
  externalFileName,
  type FdDumpContext,
  type FdFacts,
  type FdHandler,
  type FdPlanContext,
  type FileRecord,
  type Program,
  type Result,
} from '@crts/plugin-api';
import { buildIdOfPath } from './build-id';
import { gone, notOpened, notOpenedAgain, notSought } from './errors';
import { forbidden } from './inode-flags';
import { O_CLOEXEC, O_PATH, onlyAppends, openFlags, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './open-flags';
import { lateEntry } from './thread-entry';
import { checkEntry, NO_POSITION, validateFile } from './validation';
import { emitWriteHint, writeHint } from './write-hint';

const FD_TYPE_REG = 1;
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
/** What is in their files is not to be read, or taken by who reads it: secret memory, POSIX message queues. */
const NO_FILES: ReadonlySet<bigint> = new Set([0x5345434dn, 0x19800202n]);
const OWNED_TYPES: readonly number[] = [S_IFREG, S_IFDIR, S_IFLNK];

export const regularHandler: FdHandler = {
  name: 'fd-regular',
  external: ['file'],

  match(fd: FdFacts): number {
    if (!fd.link.startsWith('/') || fd.link.startsWith('/memfd:')) return 0;
    // By path only, what kind of file it is makes no difference; handlers of kinds know no O_PATH.
    if ((fd.flags & O_PATH) !== 0) return 30;
    const type = fd.mode & S_IFMT;
    return OWNED_TYPES.includes(type) && !(type === S_IFREG && NO_FILES.has(fd.fsType)) ? 10 : 0;
  },

  dump(fd: FdFacts, context: FdDumpContext): FileRecord {
    const external = externalFileName(fd, context.options);
    const value: RegFileEntry = {
      id: context.id,
      flags: fd.flags & ~O_CLOEXEC,
      pos: fd.pos,
      fown: context.fown as RegFileEntry['fown'],
      name: external ?? context.nameOf(fd),
      mode: fd.mode,
      build_id: [],
    };
    if (external !== undefined) return { type: FD_TYPE_REG, field: 'reg', value: { ...value, ext: true } };
    if ((fd.mode & S_IFMT) === S_IFREG && (fd.flags & O_PATH) === 0) {
      const hint = writeHint(fd.local);
      if (hint !== 0) value.crts_write_hint = hint;
      // One without a name gets these flags when it is open.
      const why = fd.nlink === 0n ? undefined : forbidden(fd.local, fd.flags);
      if (why !== undefined) throw notOpenedAgain({ pid: fd.pid, fd: fd.fd, path: value.name }, why);
    }
    // A log that is only appended to may be rotated or grow: CRIU compares the size wherever the image has one.
    if ((fd.mode & S_IFMT) === S_IFREG && !onlyAppends(fd.flags)) {
      value.size = fd.sizeBytes;
      if (context.options.fileValidation !== 'filesize') value.build_id = buildIdOf(fd);
    }
    return { type: FD_TYPE_REG, field: 'reg', value };
  },

  owns(record: FileRecord): boolean {
    const { mode, flags = 0 } = record.value as Partial<RegFileEntry>;
    if (record.field !== 'reg') return false;
    return mode === undefined || OWNED_TYPES.includes(mode & S_IFMT) || (flags & O_PATH) !== 0;
  },

  collect(record: FileRecord, context: FdPlanContext): void {
    const entry = record.value as RegFileEntry;
    checkEntry(entry);
    if (entry.ext === true || replacementFor(entry, context) !== undefined) return;
    const remap = context.remapOf(entry.id);
    const name = remap === undefined ? entry.name : remap.checkName;
    if (name !== undefined) validateFile(entry, name, context.options);
  },

  late: (record: FileRecord, context: FdPlanContext) => lateEntry(record.value as RegFileEntry, context),

  plan(record: FileRecord, program: Program, context: FdPlanContext): Arg {
    const entry = record.value as RegFileEntry;
    const { id, name, ext, pos, flags } = entry;
    const replacement = replacementFor(entry, context);
    if (replacement !== undefined) return program.receiveFd(replacement, { what: `take ${name} from the caller` });
    const type = (entry.mode ?? S_IFREG) & S_IFMT;
    const how = openFlags(flags, type, context.remapOf(id) !== undefined);
    const fd = context.openFile(program, { id, name, ext }, how, {
      what: `open ${name}`,
      fail: (errno) => (errno === 'ENOENT' ? gone(name) : notOpened(name, errno)),
    });
    // An O_PATH descriptor has no position: man 2 open.
    if (pos !== 0n && pos !== NO_POSITION && (flags & O_PATH) === 0)
      program.call('lseek', [fd, pos, SEEK_SET], {
        expect: pos,
        what: `seek in ${name}`,
        fail: (errno) => notSought(name, pos, errno),
      });
    if (entry.crts_write_hint !== undefined) emitWriteHint(program, fd as Result, entry.crts_write_hint);
    return fd;
  },
};

/** What has a name is replaced on purpose by a descriptor of the caller, with its own offset and flags: CRIU's rule. */
function replacementFor({ name, ext }: RegFileEntry, { options }: FdPlanContext): number | undefined {
  return ext === true ? undefined : options.inherit?.fdFor(name === '/' ? '.' : name);
}

/** By file and its last change: found before the freeze, or for another task, it need not be looked for again. */
const buildIds = new Map<string, number[]>();

function buildIdOf(fd: FdFacts): number[] {
  // A file without a name is made again from its contents: there is nothing to compare.
  if (fd.nlink === 0n || fd.sizeBytes < ELF_MIN || KERNEL_FILESYSTEMS.has(fd.fsType)) return [];
  const key = `${fd.dev}:${fd.ino}:${fd.sizeBytes}:${fd.changeNs}`;
  // Opened anew: reading through the program's own description would set the file's access time.
  const id = buildIds.get(key) ?? buildIdOfPath(`/proc/self/fd/${fd.local}`);
  buildIds.set(key, id);
  return id;
}
