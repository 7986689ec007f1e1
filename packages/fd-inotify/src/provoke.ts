/**
 * Events in the place of those that were queued at the dump, which nobody can put back. Only the kernel makes events, and
 * only of what happens: so the queue is made to overflow, and watched objects are touched.
 */
import { chmodSync, closeSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { pathArgument } from '@crts/file-handles';
import { memfd, rawSyscall } from '@crts/native-syscalls';
import type { Logger } from '@crts/plugin-api';
import type { InotifyKernel } from './kernel';
import { IN_ACCESS, IN_ATTRIB, IN_MODIFY, OWN_LINKS } from './mask';
import type { Watch } from './watches';

/** sizeof(struct inotify_event) without a name. */
const EVENT_BYTES = 16;
/** Larger queues (max_queued_events) are not filled. */
const EVENTS_MAX = 1 << 20;
const AT_FDCWD = -100;
const O_PATH = 0o10000000;
const O_NOFOLLOW = 0o400000;
const UTIME_OMIT = 0x3fff_fffen;
const NS = 1_000_000_000n;
const PERMISSIONS = 0o7777n;
const S_IFMT = 0o170000n;
const S_IFDIR = 0o040000n;

/**
 * Leaves IN_Q_OVERFLOW alone in the queue: "events are lost, look at everything again" (man 7 inotify). A scratch file is
 * watched, read and written until the queue is full and the kernel adds that event; the others are read again, the watch
 * is removed while the queue has no room for its IN_IGNORED. To be called before any other watch is there.
 */
export function provokeOverflow(kernel: InotifyKernel, log: Logger): boolean {
  const scratch = memfd('crts-overflow', 1);
  try {
    const wd = kernel.add(`${OWN_LINKS}${scratch}`, IN_ACCESS | IN_MODIFY);
    if (wd < 0) return false;
    const filled = fillThrough(kernel, `${OWN_LINKS}${scratch}`);
    kernel.remove(wd);
    if (filled !== undefined && kernel.read(filled) === filled && kernel.queuedBytes() === EVENT_BYTES) return true;
    log.warn({}, 'inotify: the queue could not be made to overflow');
    while (kernel.queuedBytes() > 0) kernel.read(EVENT_BYTES * EVENTS_MAX);
    return false;
  } finally {
    closeSync(scratch);
  }
}

/** Opened by its link: what is done through the descriptor of memfd_create(2) itself is told to nobody (Linux 6.14). */
function fillThrough(kernel: InotifyKernel, path: string): number | undefined {
  const fd = openSync(path, 'r+');
  try {
    return fill(kernel, fd);
  } finally {
    closeSync(fd);
  }
}

/** Bytes of the events before IN_Q_OVERFLOW. Two alike in a row would become one: inotify_merge(). */
function fill(kernel: InotifyKernel, scratch: number): number | undefined {
  const byte = Buffer.alloc(1);
  let before = 0;
  for (let count = 0; count < EVENTS_MAX; ) {
    // The queue is asked now and then: when it stops growing it has overflowed.
    for (let pair = 0; pair < 1024; pair++, count += 2) {
      writeSync(scratch, byte, 0, 1, 0);
      readSync(scratch, byte, 0, 1, 0);
    }
    const now = kernel.queuedBytes();
    if (now !== before + 2048 * EVENT_BYTES) return now > EVENT_BYTES ? now - EVENT_BYTES : undefined;
    before = now;
  }
  return undefined;
}

/**
 * Touches what is watched: the mode is set to what it is (IN_ATTRIB), or else, for IN_MODIFY without IN_ATTRIB, the time of
 * modification of a file (fsnotify_change(), include/linux/fsnotify.h). Contents, mode and times stay; the time of change
 * (ctime) moves, and whoever else watches sees it too.
 */
export function touch(watches: readonly Watch[], log: Logger): void {
  let failed = 0;
  for (const watch of watches) if (!touchOne(watch)) failed += 1;
  if (failed > 0) log.warn({ failed }, `inotify: ${failed} watched objects cannot be touched`);
}

function touchOne({ mask, reach }: Watch): boolean {
  if ((mask & (IN_ATTRIB | IN_MODIFY)) === 0) return true;
  return reach((path) => {
    const fd = rawSyscall('open', pathArgument(path), path.startsWith(OWN_LINKS) ? O_PATH : O_PATH | O_NOFOLLOW);
    if (fd < 0) return false;
    try {
      const own = `${OWN_LINKS}${fd}`;
      const { mode, mtimeNs } = statSync(own, { bigint: true });
      if ((mask & IN_ATTRIB) !== 0) chmodSync(own, Number(mode & PERMISSIONS));
      else if ((mode & S_IFMT) !== S_IFDIR) return setModified(own, mtimeNs);
      return true;
    } catch {
      return false;
    } finally {
      rawSyscall('close', fd);
    }
  });
}

function setModified(path: string, mtimeNs: bigint): boolean {
  const times = Buffer.alloc(32);
  times.writeBigInt64LE(UTIME_OMIT, 8);
  times.writeBigInt64LE(mtimeNs / NS, 16);
  times.writeBigInt64LE(mtimeNs % NS, 24);
  return rawSyscall('utimensat', AT_FDCWD, pathArgument(path), times, 0) === 0;
}
