/**
 * userfaultfd(2) in asynchronous write-protect mode (Linux 6.7): the kernel itself notes which pages are written, nobody is asked.
 * Documentation/admin-guide/mm/userfaultfd.rst and pagemap.rst.
 */
import { SyscallError } from './errors';
import { rawSyscall } from './syscall';

/** _IOWR(0xAA, N, struct uffdio_api, uffdio_register, uffdio_writeprotect): include/uapi/linux/userfaultfd.h. */
const UFFDIO_API = 0xc018aa3f;
const UFFDIO_REGISTER = 0xc020aa00;
const UFFDIO_WRITEPROTECT = 0xc018aa06;
const UFFD_API = 0xaan;
const FEATURE_PAGEFAULT_FLAG_WP = 1n << 0n;
const FEATURE_WP_HUGETLBFS_SHMEM = 1n << 12n;
const FEATURE_WP_UNPOPULATED = 1n << 13n;
const FEATURE_WP_ASYNC = 1n << 15n;
const MODE_WP = 2n;
const EINTR = 4;
const EAGAIN = 11;

/** O_CLOEXEC | UFFD_USER_MODE_ONLY: the second needs no privilege and vm.unprivileged_userfaultfd. */
export const UFFD_CREATE_FLAGS = 0o2000000 | 1;

/** Makes a fresh userfaultfd one that tracks writes. @throws SyscallError EINVAL before Linux 6.7 */
export function uffdTrackWrites(fd: number): void {
  const api = new BigUint64Array([
    UFFD_API,
    FEATURE_PAGEFAULT_FLAG_WP | FEATURE_WP_HUGETLBFS_SHMEM | FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC,
    0n,
  ]);
  const result = rawSyscall('ioctl', fd, UFFDIO_API, api);
  if (result < 0) throw new SyscallError('ioctl(UFFDIO_API)', -result);
}

/** Tracks [start, end) of the address space that the descriptor was made in; false where that cannot be. */
export function uffdRegister(fd: number, start: bigint, end: bigint): boolean {
  return rawSyscall('ioctl', fd, UFFDIO_REGISTER, new BigUint64Array([start, end - start, MODE_WP, 0n])) === 0;
}

/** _IOWR(0xAA, 0x03, struct uffdio_copy) and the like. */
const UFFDIO_WAKE = 0x8010aa02;
const UFFDIO_COPY = 0xc028aa03;
const UFFDIO_ZEROPAGE = 0xc020aa04;
const FEATURE_EVENT_FORK = 1n << 1n;
const FEATURE_EVENT_REMAP = 1n << 2n;
const FEATURE_EVENT_REMOVE = 1n << 3n;
const FEATURE_EVENT_UNMAP = 1n << 6n;
const MODE_MISSING = 1n;

/** O_CLOEXEC | O_NONBLOCK: faults of system calls are told too, which needs CAP_SYS_PTRACE or vm.unprivileged_userfaultfd. */
export const UFFD_LAZY_FLAGS = 0o2004000;

/** Makes a fresh userfaultfd one that tells of missing pages, and of what becomes of the mappings. */
export function uffdTellMissing(fd: number): void {
  const events = FEATURE_EVENT_FORK | FEATURE_EVENT_REMAP | FEATURE_EVENT_REMOVE | FEATURE_EVENT_UNMAP;
  const result = rawSyscall('ioctl', fd, UFFDIO_API, new BigUint64Array([UFFD_API, events, 0n]));
  if (result < 0) throw new SyscallError('ioctl(UFFDIO_API)', -result);
}

/** Pages of [start, end) that are missing are told from here on. @throws SyscallError */
export function uffdRegisterMissing(fd: number, start: bigint, end: bigint): void {
  const result = rawSyscall('ioctl', fd, UFFDIO_REGISTER, new BigUint64Array([start, end - start, MODE_MISSING, 0n]));
  if (result < 0) throw new SyscallError(`ioctl(UFFDIO_REGISTER, 0x${start.toString(16)})`, -result);
}

export interface UffdCopied {
  /** What came into place; the call may stop anywhere. */
  readonly bytes: bigint;
  /** Why it stopped; 0: it did not. */
  readonly errno: number;
}

/** Fills missing pages from memory of the caller, whole pages at `source`, and wakes who waits for them. */
export function uffdCopy(fd: number, to: bigint, source: bigint, lengthBytes: bigint): UffdCopied {
  const arg = new BigInt64Array([to, source, lengthBytes, 0n, 0n]);
  return outcome(rawSyscall('ioctl', fd, UFFDIO_COPY, arg), arg[4]!, lengthBytes);
}

/** Fills missing pages with zeroes. */
export function uffdZero(fd: number, to: bigint, lengthBytes: bigint): UffdCopied {
  const arg = new BigInt64Array([to, lengthBytes, 0n, 0n]);
  return outcome(rawSyscall('ioctl', fd, UFFDIO_ZEROPAGE, arg), arg[3]!, lengthBytes);
}

/** Part of it done is EAGAIN and the bytes; nothing done is the errno, also in the place of the bytes: man 2 ioctl_userfaultfd. */
function outcome(result: number, done: bigint, lengthBytes: bigint): UffdCopied {
  if (result === 0) return { bytes: lengthBytes, errno: 0 };
  return { bytes: done > 0n ? done : 0n, errno: done < 0n ? Number(-done) : -result };
}

/** Those who wait for a page look again. */
export function uffdWake(fd: number, start: bigint, lengthBytes: bigint): void {
  rawSyscall('ioctl', fd, UFFDIO_WAKE, new BigUint64Array([start, lengthBytes]));
}

export type UffdEvent =
  | { readonly kind: 'fault'; readonly address: bigint }
  | { readonly kind: 'fork'; readonly fd: number }
  | { readonly kind: 'remap'; readonly from: bigint; readonly to: bigint; readonly lengthBytes: bigint }
  | { readonly kind: 'remove' | 'unmap'; readonly start: bigint; readonly end: bigint };

/** struct uffd_msg. */
const MESSAGE_BYTES = 32;
const MESSAGES = 64;

/** The events that wait; the descriptor does not block. A `fork` brings a descriptor of the child. */
export function uffdEvents(fd: number): UffdEvent[] {
  const bytes = Buffer.alloc(MESSAGES * MESSAGE_BYTES);
  const result = rawSyscall('read', fd, bytes, bytes.length);
  if (result === -EAGAIN || result === -EINTR) return [];
  if (result < 0) throw new SyscallError(`read(${fd}, userfaultfd)`, -result);
  const events: UffdEvent[] = [];
  for (let at = 0; at + MESSAGE_BYTES <= result; at += MESSAGE_BYTES)
    events.push(uffdEvent(bytes.subarray(at, at + MESSAGE_BYTES)));
  return events;
}

function uffdEvent(message: Buffer): UffdEvent {
  const word = (index: number) => message.readBigUInt64LE(8 + 8 * index);
  switch (message[0]) {
    case 0x12:
      return { kind: 'fault', address: word(1) };
    case 0x13:
      return { kind: 'fork', fd: message.readUInt32LE(8) };
    case 0x14:
      return { kind: 'remap', from: word(0), to: word(1), lengthBytes: word(2) };
    case 0x15:
      return { kind: 'remove', start: word(0), end: word(1) };
    case 0x16:
      return { kind: 'unmap', start: word(0), end: word(1) };
    default:
      throw new RangeError(`userfaultfd tells of an event 0x${message[0]!.toString(16)} that was not asked for`);
  }
}

/**
 * All pages of a registered mapping count as written, whatever marks it had. The kernel drops a registration and leaves its marks
 * when another mapping is moved beside it and the two become one (mremap_userfaultfd_prep(), fs/userfaultfd.c; measured on
 * 6.18): registered again, such pages would count as not written, and stay writable without anybody noting it.
 */
export function uffdForgetMarks(fd: number, start: bigint, end: bigint): void {
  const result = rawSyscall('ioctl', fd, UFFDIO_WRITEPROTECT, new BigUint64Array([start, end - start, 0n]));
  if (result < 0) throw new SyscallError(`ioctl(UFFDIO_WRITEPROTECT, 0x${start.toString(16)})`, -result);
}
