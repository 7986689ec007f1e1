export const O_ACCMODE = 3;
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_NONBLOCK = 0o4000;
export const O_DIRECT = 0o40000;
export const O_LARGEFILE = 0o100000;
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
export const F_SETPIPE_SZ = 1031;
export const F_GETPIPE_SZ = 1032;
/** Flags that act while a file is opened, and O_DIRECT, which open(2) refuses for a pipe. */
export const NOT_PASSED = 0o100 | 0o200 | 0o400 | 0o1000 | O_DIRECT | O_CLOEXEC;
/** A buffer of a pipe holds at most a page; a packet is one buffer. */
export const PAGE = 4096;

export function reads(flags: number): boolean {
  return (flags & O_PATH) === 0 && (flags & O_ACCMODE) !== O_WRONLY;
}

export function writes(flags: number): boolean {
  return (flags & O_PATH) === 0 && (flags & O_ACCMODE) !== O_RDONLY;
}
