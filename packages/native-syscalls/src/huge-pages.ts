/** Huge TLB pages (Documentation/admin-guide/mm/hugetlbpage.rst). */
import { fstatSync, readdirSync } from 'node:fs';
import { cPath, rawSyscall } from './syscall';

const MFD_CLOEXEC = 1;
const MFD_HUGETLB = 4;
const SIZES = '/sys/kernel/mm/hugepages';
/** MAP_HUGE_SHIFT, the same for mmap(2), memfd_create(2) and shmget(2): the binary logarithm of the size lies there. */
const SHIFT = 26;

export interface HugePages {
  readonly pageBytes: bigint;
  /** What mmap(2), memfd_create(2) and shmget(2) want to hear beside MAP_HUGETLB and its like. */
  readonly sizeFlag: number;
}

/** As fstat(2) numbers devices. */
let byDevice: Map<number, HugePages> | undefined;

/**
 * Which huge pages the objects of a device have that is one of the kernel's own mounts (hugetlb_file_setup(), fs/hugetlbfs/inode.c),
 * there being one for each size: those of mmap, memfd_create and shmget. Undefined: it is none of them.
 */
export function hugePagesOf(dev: number): HugePages | undefined {
  byDevice ??= probe();
  return byDevice.get(dev);
}

/** makedev(3): /proc/PID/smaps has the device as two numbers, fstat(2) as one. */
export function deviceNumber({ major, minor }: { readonly major: number; readonly minor: number }): number {
  return ((minor & 0xfff00) << 12) | (major << 8) | (minor & 0xff);
}

function probe(): Map<number, HugePages> {
  const found = new Map<number, HugePages>();
  for (const size of sizes()) {
    const sizeFlag = Math.log2(size) * 2 ** SHIFT;
    // No page is taken until one is mapped.
    const fd = rawSyscall('memfd_create', cPath('probe'), MFD_CLOEXEC | MFD_HUGETLB | sizeFlag);
    if (fd < 0) continue;
    found.set(fstatSync(fd).dev, { pageBytes: BigInt(size), sizeFlag });
    rawSyscall('close', fd);
  }
  return found;
}

/** Bytes of each size that the kernel knows. */
function sizes(): number[] {
  try {
    return readdirSync(SIZES).map((name) => Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0) * 1024);
  } catch {
    return [];
  }
}
