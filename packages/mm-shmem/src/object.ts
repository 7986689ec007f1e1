import { openSync } from 'node:fs';
import { type SyscallError, syscall } from '@crts/native-syscalls';
import { MAP, PROT } from '@crts/plugin-api';
import { objectNotMade } from './errors';

/**
 * Makes an object of shared anonymous memory in this process and returns a descriptor of it. Only mmap(2) makes one that
 * is called `/dev/zero (deleted)` in all maps (shmem_zero_setup(), mm/shmem.c), or `/anon_hugepage (deleted)`; a descriptor
 * is had through map_files. `like`: the flags of a mapping, for huge TLB pages.
 */
export function makeObject(sizeBytes: bigint, isReserved: boolean, like = 0): number {
  const huge = like & (MAP.hugeTlb | MAP.hugeSize);
  const flags = MAP.shared | MAP.anonymous | (isReserved ? 0 : MAP.noReserve) | huge;
  try {
    const start = syscall('mmap', 0, sizeBytes, PROT.read | PROT.write, flags, -1, 0);
    try {
      const end = BigInt(start) + sizeBytes;
      return openSync(`/proc/self/map_files/${start.toString(16)}-${end.toString(16)}`, 'r+');
    } finally {
      syscall('munmap', start, sizeBytes);
    }
  } catch (error) {
    const { errno, code } = error as SyscallError;
    throw objectNotMade(sizeBytes, huge !== 0, typeof errno === 'string' ? errno : code);
  }
}
