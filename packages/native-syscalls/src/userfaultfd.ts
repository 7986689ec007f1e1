/**
 * userfaultfd(2) in asynchronous write-protect mode (Linux 6.7): the kernel itself notes which pages are written, nobody is asked.
 * Documentation/admin-guide/mm/userfaultfd.rst and pagemap.rst.
 */
import { SyscallError } from './errors';
import { rawSyscall } from './syscall';

/** _IOWR(0xAA, 0x3F, struct uffdio_api), _IOWR(0xAA, 0x00, struct uffdio_register): include/uapi/linux/userfaultfd.h. */
const UFFDIO_API = 0xc018aa3f;
const UFFDIO_REGISTER = 0xc020aa00;
const UFFD_API = 0xaan;
const FEATURE_PAGEFAULT_FLAG_WP = 1n << 0n;
const FEATURE_WP_HUGETLBFS_SHMEM = 1n << 12n;
const FEATURE_WP_UNPOPULATED = 1n << 13n;
const FEATURE_WP_ASYNC = 1n << 15n;
const MODE_WP = 2n;

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
