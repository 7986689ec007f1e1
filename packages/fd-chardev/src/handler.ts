import { basename } from 'node:path';
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
import {
  type Device,
  deviceNumber,
  deviceUnder,
  isCarried,
  isCharacterDevice,
  isKnown,
  stateOf,
  usualName,
} from './device';
import { badEntry, deviceChanged, deviceState, notOpened, otherDevice, unknownDevice } from './errors';

const FD_TYPE_REG = 1;
const O_CLOEXEC = 0o2000000;
/** Flags that act while a file is opened: O_CREAT O_EXCL O_NOCTTY O_TRUNC O_TMPFILE's own bit, and O_CLOEXEC. */
const NOT_PASSED = 0o100 | 0o200 | 0o400 | 0o1000 | 0o20000000 | O_CLOEXEC;
const O_DIRECTORY = 0o200000;
const O_PATH = 0o10000000;
const PATH_MAX = 4096;
const PERMISSIONS = 0o777;

export const chardevHandler: FdHandler = {
  name: 'fd-chardev',

  /** A mere path to a device is no device. Those that are not carried are refused by name, unless another plugin takes them. */
  match(fd: FdFacts): number {
    if ((fd.flags & O_PATH) !== 0 || !isCharacterDevice(fd.mode)) return 0;
    return isKnown(deviceNumber(fd.rdev)) ? 20 : 1;
  },

  dump(fd: FdFacts, context: FdDumpContext): FileRecord {
    const number = deviceNumber(fd.rdev);
    const subject = { pid: fd.pid, fd: fd.fd < 0 ? undefined : fd.fd, path: fd.link };
    if (!isCarried(number)) throw unknownDevice(subject, number);
    const state = stateOf(number, fd.flags);
    if (state !== undefined) throw deviceState(subject, state);
    // A node that was removed is made again by its number.
    const isNamed = fd.nlink !== 0n;
    const link = isNamed ? nameOf(fd, number, context) : fd.link;
    const value: RegFileEntry = {
      id: context.id,
      flags: fd.flags & ~O_CLOEXEC,
      pos: fd.pos,
      fown: context.fown as RegFileEntry['fown'],
      name: isNamed ? link : context.nameOf(fd),
      mode: fd.mode,
      build_id: [],
    };
    return { type: FD_TYPE_REG, field: 'reg', value };
  },

  owns(record: FileRecord): boolean {
    const { mode = 0, flags = 0 } = record.value as Partial<RegFileEntry>;
    return record.field === 'reg' && isCharacterDevice(mode) && (flags & O_PATH) === 0;
  },

  collect(record: FileRecord, context: FdPlanContext): void {
    const { id, name, mode } = record.value as RegFileEntry & { mode: number };
    if (!name.startsWith('/') || name.includes('\0') || encodeName(name).length >= PATH_MAX)
      throw badEntry(id, `"${name}" is no absolute path`);
    const remap = context.remapOf(id);
    if (remap !== undefined && remap.checkName === undefined) return;
    const named = found(remap?.checkName ?? name, context);
    if (!isCarried(named.number)) throw otherDevice('failed', name, named.number);
    const ignored = context.options.skipFileRwxCheck === true ? PERMISSIONS : 0;
    if ((named.mode & ~ignored) !== (mode & ~ignored)) throw deviceChanged(name, named.mode, mode);
  },

  /** No lseek: these devices keep no position (null_lseek(), drivers/char/mem.c; noop_llseek() of random). */
  plan(record: FileRecord, program: Program, context: FdPlanContext): Arg {
    const { id, name, flags } = record.value as RegFileEntry;
    const isEvasive = context.options.evasiveDevices === true && context.remapOf(id) === undefined;
    const path = isEvasive ? found(name, context).path : name;
    return context.openFile(program, { id, name: path }, flags & ~(NOT_PASSED | O_DIRECTORY), {
      what: `open ${name}`,
      fail: (errno) => notOpened(name, errno),
    });
  },
};

/** The name in the images: the one that it was opened by, or with --evasive-devices any that leads to the device. */
function nameOf(fd: FdFacts, number: string, { options }: FdDumpContext): string {
  const named = deviceUnder(fd.link);
  if (named.number === number) return fd.link;
  const usual = options.evasiveDevices === true ? usualName(number) : undefined;
  if (usual !== undefined && deviceUnder(usual).number === number) return usual;
  throw otherDevice('refused', fd.link, named.number, { pid: fd.pid, fd: fd.fd < 0 ? undefined : fd.fd });
}

/** What the recorded name leads to; with --evasive-devices its last part in /dev, where it leads to no such device. */
function found(name: string, { options }: FdPlanContext): Device & { readonly path: string } {
  const named = deviceUnder(name);
  if (isCarried(named.number) || options.evasiveDevices !== true) return { ...named, path: name };
  const path = `/dev/${basename(name)}`;
  const other = deviceUnder(path);
  return isCarried(other.number) ? { ...other, path } : { ...named, path: name };
}
