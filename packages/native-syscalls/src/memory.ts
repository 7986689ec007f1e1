import { fstatSync, openSync } from 'node:fs';
import { addon } from './addon';
import { SyscallError } from './errors';
import { cPath, rawSyscall, syscall } from './syscall';

const MFD_CLOEXEC = 1;

/** A memfd of `sizeBytes`, close-on-exec; the caller closes it. */
export function memfd(name: string, sizeBytes: number): number {
  const fd = syscall('memfd_create', cPath(name), MFD_CLOEXEC);
  try {
    syscall('ftruncate', fd, sizeBytes);
  } catch (error) {
    syscall('close', fd);
    throw error;
  }
  return fd;
}

let device: { readonly major: number; readonly minor: number } | undefined;

/** Device of memfds and shared anonymous memory: the kernel's own tmpfs mount, shm_mnt in mm/shmem.c. */
export function sharedMemoryDevice(): { readonly major: number; readonly minor: number } {
  if (device !== undefined) return device;
  const fd = memfd('probe', 0);
  const { dev } = fstatSync(fd);
  syscall('close', fd);
  // As glibc's gnu_dev_major() has it: these numbers are small.
  device = { major: (dev >>> 8) & 0xfff, minor: (dev & 0xff) | ((dev >>> 12) & 0xfff00) };
  return device;
}

const PR_SET_VMA = 0x5356_4d41;
let names: boolean | undefined;

/** Whether anonymous memory can have a name: CONFIG_ANON_VMA_NAME. Asked for an empty range, which is named for nothing. */
export function hasAnonymousNames(): boolean {
  names ??= rawSyscall('prctl', PR_SET_VMA, 0, 0, 0, null) === 0;
  return names;
}

/** Maps a file shared and writable. The mapping lives as long as the buffer; unmapShared() ends it early. */
export function mapShared(fd: number, sizeBytes: number): Buffer {
  const mapped = addon().mapShared(fd, sizeBytes);
  if (typeof mapped === 'number') throw new SyscallError(`mmap(${sizeBytes} bytes of fd ${fd})`, -mapped);
  return Buffer.from(mapped);
}

/** Makes every view of the mapping unusable and lets it be unmapped. */
export function unmapShared(buffer: Buffer): void {
  addon().unmap(buffer.buffer as ArrayBuffer);
}

/**
 * Keeps buffers whose addresses lie in other structures alive until here. The collector follows references, not
 * addresses: call it after the system call that follows them. Native code is opaque, so no optimizer drops it.
 */
export function keepReachable(...buffers: readonly (Uint8Array | BigUint64Array)[]): void {
  for (const buffer of buffers) addon().addressOf(buffer);
}

const PAGE = 4096n;
const PROT_READ_WRITE = 3;
const MAP_SHARED_ANONYMOUS = 0x21;

/**
 * Makes an object of shared anonymous memory in this process and returns a descriptor of it. Only mmap(2) makes one that
 * is called `/dev/zero (deleted)` in all maps (shmem_zero_setup(), mm/shmem.c), or `/anon_hugepage (deleted)`; a descriptor
 * is had through map_files. `flags`: what is wanted of mmap beyond, MAP_NORESERVE, MAP_HUGETLB.
 */
export function sharedAnonymousMemory(sizeBytes: bigint, flags: number): number {
  const length = sizeBytes === 0n ? PAGE : (sizeBytes + PAGE - 1n) & ~(PAGE - 1n);
  const start = syscall('mmap', 0, length, PROT_READ_WRITE, MAP_SHARED_ANONYMOUS | flags, -1, 0);
  try {
    const end = BigInt(start) + length;
    const fd = openSync(`/proc/self/map_files/${start.toString(16)}-${end.toString(16)}`, 'r+');
    // ftruncate(2) of such a descriptor gives any size.
    if (length !== sizeBytes) syscall('ftruncate', fd, sizeBytes);
    return fd;
  } finally {
    syscall('munmap', start, length);
  }
}

/** Where the first byte lies, for structures that hold pointers; keep the buffer reachable while it is used. */
export function addressOf(buffer: Uint8Array): bigint {
  return addon().addressOf(buffer);
}
