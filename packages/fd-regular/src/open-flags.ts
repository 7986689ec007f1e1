/** O_* flags of x86-64, include/uapi/asm-generic/fcntl.h: what open(2) is asked for again, and what is not. */
export const O_ACCMODE = 3;
export const O_WRONLY = 1;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const O_DIRECT = 0o40000;
export const O_DIRECTORY = 0o200000;
export const O_NOFOLLOW = 0o400000;
export const O_NOATIME = 0o1000000;
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
const TMPFILE_BIT = 0o20000000;

/** They act while a file is opened and are no state of the description; an image that holds one is not believed. */
const ACTIONS = 0o100 /* O_CREAT */ | 0o200 /* O_EXCL */ | 0o400 /* O_NOCTTY */ | 0o1000 /* O_TRUNC */ | O_CLOEXEC;

export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;

/**
 * Flags to open a file of this type with, so that its description has `kept` again. O_TMPFILE, a bit of its own and that of
 * O_DIRECTORY, stays in f_flags (do_dentry_open(), fs/open.c): who makes an unlinked file again wants to know.
 */
export function openFlags(kept: number, type: number, isRemapped: boolean): number {
  const flags = kept & ~ACTIONS;
  if (isRemapped && type === S_IFREG) return (flags & TMPFILE_BIT) !== 0 ? flags : flags & ~O_DIRECTORY;
  const named = flags & ~TMPFILE_BIT;
  if (type === S_IFLNK) return named | O_NOFOLLOW;
  return type === S_IFREG ? named & ~O_DIRECTORY : named;
}

/** Whether it is only ever appended to: such a file may grow between dump and restore. */
export function onlyAppends(flags: number): boolean {
  return (flags & O_ACCMODE) === O_WRONLY && (flags & O_APPEND) !== 0;
}
