/** Makes a deleted file again: complete before it gets a name, under each of its names for a moment, deleted after that. */
import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  lchownSync,
  mkdirSync,
  openSync,
  statfsSync,
  symlinkSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { preadFull, pwriteFull, rawSyscall } from '@crts/native-syscalls';
import { CrtsError, encodeName, type Logger } from '@crts/plugin-api';
import { callOf, callOn, cName, errnoOf, linkFd } from './calls';
import {
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  HUGETLBFS_MAGIC,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_RDWR,
  O_TMPFILE,
  S_IFDIR,
  S_IFLNK,
  S_IFREG,
} from './constants';
import { notMade } from './errors';
import { type Ghost, typeOf } from './image';
import { setEarly } from './inode-flags';
import { Clones, Place } from './place';
import type { Slot } from './slot';
import { writeXattrs } from './xattrs';

const STEP = 1024 * 1024;
const ZEROES = Buffer.alloc(STEP);
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_NORESERVE = 0x4000;
const PERMISSIONS = 0o7777;
/** What open(2) answers to O_TMPFILE where the filesystem or the kernel does not have it: man 2 open. */
const NO_TMPFILE = ['EOPNOTSUPP', 'ENOTSUP', 'EISDIR', 'ENOENT', 'EINVAL'];

export function makeGhost(ghost: Ghost, slots: readonly Slot[], log: Logger): void {
  const [first] = slots;
  if (first === undefined) return;
  const clones = new Clones();
  try {
    if (typeOf(ghost.mode) === S_IFDIR) makeDirectory(ghost, slots, clones, log);
    else makeNode(ghost, slots, clones, log);
  } catch (error) {
    if (error instanceof CrtsError && error.code !== 'CRTS_SYSCALL') throw error;
    throw notMade(first.name, callOf(error), errnoOf(error));
  } finally {
    clones.close();
  }
}

/** A directory has one name only. Every slot gets a directory: what is gone cannot be told apart. */
function makeDirectory(ghost: Ghost, slots: readonly Slot[], clones: Clones, log: Logger): void {
  for (const slot of slots) {
    slot.appear(clones, (path) => {
      mkdirSync(encodeName(path), 0o700);
      setEarly(ghost, path, log);
      applyAttributes(ghost, path, false, log);
    });
  }
}

function makeNode(ghost: Ghost, slots: readonly Slot[], clones: Clones, log: Logger): void {
  const ordered = [...slots].sort((a, b) => Number(b.original !== undefined) - Number(a.original !== undefined));
  const place = new Place(dirname(ordered[0]!.name), clones);
  let temporary: string | undefined;
  let holder: number | undefined;
  try {
    holder = typeOf(ghost.mode) === S_IFREG ? openNameless(place, ordered[0]!, log) : undefined;
    if (holder === undefined) {
      temporary = place.give(`.crts-ghost-${ghost.id.toString(16)}`, (path) => makeNamed(ghost, path));
      holder = openPath(place, temporary);
    }
    if (typeOf(ghost.mode) === S_IFREG) {
      setEarly(ghost, `/proc/self/fd/${holder}`, log);
      fill(ghost, holder);
    }
    const own = temporary;
    if (own === undefined) applyAttributes(ghost, `/proc/self/fd/${holder}`, true, log);
    else place.change((base) => applyAttributes(ghost, `${base}/${own}`, false, log));
    giveNames(ordered, holder, clones);
  } finally {
    if (holder !== undefined) closeSync(holder);
    const left = temporary;
    if (left !== undefined) place.change((base) => callOn(left, 'unlinkat', AT_FDCWD, cName(`${base}/${left}`), 0));
    place.close();
  }
}

/** All names before any is removed: a file that had one and lost it takes no further one (vfs_link(), fs/namei.c). */
function giveNames([slot, ...others]: readonly Slot[], holder: number, clones: Clones): void {
  if (slot === undefined) return;
  if (slot.original?.fd !== undefined) {
    // Opened with O_TMPFILE: it has had no name, and may still get one.
    slot.keep(holder);
    giveNames(others, holder, clones);
    return;
  }
  slot.appear(
    clones,
    (path) => linkFd(holder, path),
    () => giveNames(others, holder, clones),
  );
}

/** A file without a name, so that a restore that is killed here leaves none; undefined where that does not exist. */
function openNameless(place: Place, first: Slot, log: Logger): number | undefined {
  const { original } = first;
  try {
    if (original === undefined)
      return place.change((base) =>
        openSync(encodeName(base === '' ? '/' : base), O_TMPFILE | O_RDWR | O_CLOEXEC, 0o600),
      );
    const directory = encodeName(dirname(first.name));
    original.fd = openSync(directory, original.flags | O_TMPFILE | O_CLOEXEC, 0o600);
    return openSync(`/proc/self/fd/${original.fd}`, O_RDWR | O_CLOEXEC);
  } catch (error) {
    if (!NO_TMPFILE.includes(errnoOf(error) ?? '')) throw error;
    if (original !== undefined)
      log.warn({ path: first.name }, 'no O_TMPFILE here: the file cannot be given a name later');
    return undefined;
  }
}

function openPath(place: Place, name: string): number {
  return place.change((base) => openSync(encodeName(`${base}/${name}`), O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

function makeNamed(ghost: Ghost, path: string): void {
  const type = typeOf(ghost.mode);
  if (type === S_IFLNK) symlinkSync(encodeName(ghost.target), encodeName(path));
  else if (type === S_IFREG)
    closeSync(openSync(encodeName(path), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600));
  else callOn(path, 'mknodat', AT_FDCWD, cName(path), type | 0o600, ghost.rdev);
}

function fill(ghost: Ghost, holder: number): void {
  const fd = openSync(`/proc/self/fd/${holder}`, O_RDWR | O_CLOEXEC);
  try {
    ftruncateSync(fd, Number(ghost.sizeBytes));
    if (BigInt(statfsSync(`/proc/self/fd/${fd}`).type) === HUGETLBFS_MAGIC) {
      fillHuge(ghost, fd);
      return;
    }
    const step = Buffer.allocUnsafe(STEP);
    for (const { offset, at, sizeBytes } of ghost.pieces) {
      for (let done = 0; done < sizeBytes; ) {
        const piece = step.subarray(0, Math.min(STEP, sizeBytes - done));
        preadFull(ghost.imageFd, piece, at + BigInt(done));
        pwriteFull(fd, piece, offset + BigInt(done));
        done += piece.length;
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** hugetlbfs has no write(2), and no holes to seek: what is zero takes no page, as before. */
function fillHuge(ghost: Ghost, fd: number): void {
  if (ghost.sizeBytes === 0n) return;
  const file = `/proc/self/fd/${fd}`;
  const start = callOn(file, 'mmap', 0, ghost.sizeBytes, PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  try {
    const step = Buffer.allocUnsafe(STEP);
    for (const { offset, at, sizeBytes } of ghost.pieces)
      for (let done = 0; done < sizeBytes; ) {
        const piece = step.subarray(0, Math.min(STEP, sizeBytes - done));
        preadFull(ghost.imageFd, piece, at + BigInt(done));
        if (!piece.equals(ZEROES.subarray(0, piece.length))) {
          // The kernel writes: a page that is not to be had is EFAULT, not SIGBUS.
          const to = BigInt(start) + offset + BigInt(done);
          callOn(file, 'pread64', ghost.imageFd, to, piece.length, at + BigInt(done));
        }
        done += piece.length;
      }
  } finally {
    rawSyscall('munmap', start, ghost.sizeBytes);
  }
}

/** Owner first: it takes away set-id bits and capabilities (man 2 chown). Times last. */
function applyAttributes(ghost: Ghost, path: string, isFollowed: boolean, log: Logger): void {
  const bytes = encodeName(path);
  const isLink = typeOf(ghost.mode) === S_IFLNK;
  if (isFollowed) chownSync(bytes, ghost.uid, ghost.gid);
  else lchownSync(bytes, ghost.uid, ghost.gid);
  if (!isLink) chmodSync(bytes, ghost.mode & PERMISSIONS);
  const lost = writeXattrs(path, isFollowed, ghost.xattrs);
  if (lost.length > 0) log.warn({ path, lost }, 'a deleted file lost extended attributes: they are not taken here');
  if (ghost.times === undefined) return;
  callOn(path, 'utimensat', AT_FDCWD, cName(path), ghost.times, isFollowed ? 0 : AT_SYMLINK_NOFOLLOW);
}
