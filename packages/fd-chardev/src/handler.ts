import { statSync } from 'node:fs';
import type { RegFileEntry } from '@crts/image-io';
import {
  type Arg,
  CrtsError,
  type FdDumpContext,
  type FdFacts,
  type FdHandler,
  type FileRecord,
  type Program,
} from '@crts/plugin-api';

const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;
const O_PATH = 0o10000000;
/** Flags that are not kept: O_CREAT O_EXCL O_NOCTTY O_TRUNC O_CLOEXEC. */
const NOT_KEPT = 0o100 | 0o200 | 0o400 | 0o1000 | 0o2000000;
const AT_FDCWD = -100;

/** Memory devices without state of their own, major 1: Documentation/admin-guide/devices.txt. */
const STATELESS = new Set(['1:3', '1:5', '1:7', '1:8', '1:9']);

/** Linux encodes device numbers in 64 bits as glibc's makedev does. */
function deviceName(rdev: bigint): string {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & ~0xffn);
  return `${major}:${minor}`;
}

export const chardevHandler: FdHandler = {
  name: 'fd-chardev',

  match: (fd) => ((fd.mode & S_IFMT) === S_IFCHR && STATELESS.has(deviceName(fd.rdev)) ? 20 : 0),

  dump(fd: FdFacts, context: FdDumpContext): FileRecord {
    checkName(fd.link, { pid: fd.pid, fd: fd.fd }, 'refused');
    const value: RegFileEntry = {
      id: context.id,
      flags: fd.flags & ~NOT_KEPT,
      pos: fd.pos,
      fown: context.fown as RegFileEntry['fown'],
      name: fd.link,
      mode: fd.mode,
      build_id: [],
    };
    return { type: 1, field: 'reg', value };
  },

  owns: (record) =>
    record.field === 'reg' && (((record.value as Partial<RegFileEntry>).mode ?? 0) & S_IFMT) === S_IFCHR,

  collect(record: FileRecord): void {
    checkName((record.value as RegFileEntry).name, {}, 'failed');
  },

  plan(record: FileRecord, program: Program): Arg {
    const entry = record.value as RegFileEntry;
    const fd = program.call('openat', [AT_FDCWD, program.cstring(entry.name), entry.flags & ~NOT_KEPT, 0], {
      what: `open ${entry.name}`,
    });
    // These devices take any position and ignore it; the number is visible all the same.
    if (entry.pos !== 0n && (entry.flags & O_PATH) === 0) program.call('lseek', [fd, entry.pos, 0], { expect: 'any' });
    return fd;
  },
};

function checkName(path: string, subject: { pid?: number; fd?: number }, kind: 'refused' | 'failed'): void {
  let device = '';
  try {
    device = deviceName(statSync(path, { bigint: true }).rdev);
  } catch {
    // Told below: a name that does not exist is no device.
  }
  if (STATELESS.has(device)) return;
  throw new CrtsError({
    code: 'CRTS_DEVICE_NAME',
    kind,
    plugin: 'fd-chardev',
    ...subject,
    path,
    what: 'the name does not lead to null, zero, full, random or urandom',
    hint: 'The device node must exist under the same name where the program is restored.',
  });
}
