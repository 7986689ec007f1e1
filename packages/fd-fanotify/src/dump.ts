import { closeSync, openSync, readFileSync } from 'node:fs';
import { Finder, handleEntry } from '@crts/file-handles';
import type { FanotifyFileEntry, FanotifyMarkEntry } from '@crts/image-io';
import { rawSyscall } from '@crts/native-syscalls';
import { encodeName, type FdDumpContext, type FdFacts, type FileRecord } from '@crts/plugin-api';
import { eventsQueued, type Holder, markKind, markLost, permissionPending } from './errors';
import { type MarkLine, parseGroup } from './fdinfo';
import { FAN_CLASS_CONTENT, FAN_CLASS_PRE_CONTENT, FAN_MARK_FILESYSTEM, PERMISSION_EVENTS } from './flags';

const FD_TYPE_FANOTIFY = 12;
const MARK_INODE = 1;
const MARK_MOUNT = 2;
const FIONREAD = 0x541b;
const O_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;
const MINOR_BITS = 20;

export function dumpGroup(fd: FdFacts, context: FdDumpContext): FileRecord {
  const { flags, eventFlags, marks } = parseGroup(fd.fdinfo);
  heedEvents(fd, context, flags, marks);
  const value: FanotifyFileEntry = {
    id: context.id,
    flags: fd.flags & ~O_CLOEXEC,
    fown: context.fown as FanotifyFileEntry['fown'],
    faflags: flags,
    evflags: eventFlags,
    mark: markEntries(marks, fd, context),
  };
  return { type: FD_TYPE_FANOTIFY, field: 'ffy', value };
}

function heedEvents(fd: FdFacts, context: FdDumpContext, flags: number, marks: readonly MarkLine[]): void {
  const size = Buffer.alloc(4);
  rawSyscall('ioctl', fd.local, FIONREAD, size);
  const bytes = size.readInt32LE(0);
  if (bytes === 0) return;
  const holder = { pid: fd.pid, fd: fd.fd };
  const mayPermit = (flags & (FAN_CLASS_CONTENT | FAN_CLASS_PRE_CONTENT)) !== 0;
  if (mayPermit && marks.some((mark) => (mark.mask & PERMISSION_EVENTS) !== 0)) throw permissionPending(holder);
  if (context.options.inotifyEvents === 'fail') throw eventsQueued(holder, bytes);
  context.log.warn({ ...holder, bytes }, `fanotify: ${bytes} bytes of events were not read, and are dropped`);
}

function markEntries(marks: readonly MarkLine[], fd: FdFacts, context: FdDumpContext): FanotifyMarkEntry[] {
  if (marks.length === 0) return [];
  const { options, task } = context;
  const finder = new Finder({
    proc: `/proc/${task.hostPid}`,
    scanPaths: options.irmapScanPaths,
    force: options.forceIrmap,
  });
  try {
    // A mark whose masks are empty reports nothing, and cannot be added.
    return marks
      .filter((mark) => mark.kind === 'other' || mark.mask !== 0 || mark.ignoredMask !== 0)
      .map((mark) => markEntry(mark, { pid: fd.pid, fd: fd.fd }, context, finder));
  } finally {
    finder.close();
  }
}

function markEntry(mark: MarkLine, holder: Holder, context: FdDumpContext, finder: Finder): FanotifyMarkEntry {
  const head = { id: context.id, mflags: mark.flags, mask: mark.mask, ignored_mask: mark.ignoredMask };
  if (mark.kind === 'inode') {
    const found = finder.find(mark);
    if (found.kind === 'lost') throw markLost(holder, `inode ${mark.ino} of device ${showDevice(mark.device)}`);
    const f_handle = { ...handleEntry(mark.handle), ...(found.kind === 'path' ? { path: found.path } : {}) };
    return { ...head, type: MARK_INODE, s_dev: mark.device, ie: { i_ino: mark.ino, f_handle } };
  }
  if (mark.kind === 'mount') {
    const mount = finder.mountById(mark.mntId);
    if (mount === undefined || mountOf(mount.point) !== mark.mntId) throw markLost(holder, `mount ${mark.mntId}`);
    return { ...head, type: MARK_MOUNT, s_dev: mount.device, me: { mnt_id: mark.mntId, path: mount.point } };
  }
  if (mark.kind === 'filesystem') {
    const mount = finder.mountsOf(mark.device).find((one) => mountOf(one.point) === one.id);
    if (mount === undefined) throw markLost(holder, `file system ${showDevice(mark.device)}`);
    // The format has no such kind. CRIU adds FAN_MARK_MOUNT to these flags, and the kernel then refuses the mark.
    const mflags = mark.flags | FAN_MARK_FILESYSTEM;
    return { ...head, mflags, type: MARK_MOUNT, s_dev: mark.device, me: { mnt_id: mount.id, path: mount.point } };
  }
  throw markKind(holder, mark.text);
}

/** Mount that a path leads to: another one may cover the mount point. */
function mountOf(path: string): number {
  const fd = openSync(encodeName(path), O_PATH);
  try {
    return Number(/^mnt_id:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1]);
  } finally {
    closeSync(fd);
  }
}

function showDevice(device: number): string {
  return `${device >>> MINOR_BITS}:${device & 0xf_ffff}`;
}
