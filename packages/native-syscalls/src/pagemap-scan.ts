/** PAGEMAP_SCAN of /proc/PID/pagemap: Documentation/admin-guide/mm/pagemap.rst, Linux 6.7. */
import { addon } from './addon';
import { SyscallError } from './errors';
import { keepReachable } from './memory';
import { rawSyscall } from './syscall';

/** _IOWR('f', 16, struct pm_scan_arg), 96 bytes. */
const PAGEMAP_SCAN = 0xc0606610;

const WP_MATCHING = 1n;

export const PAGE_IS = {
  wpAllowed: 1n,
  written: 2n,
  file: 4n,
  present: 8n,
  swapped: 16n,
  pfnZero: 32n,
  huge: 64n,
  softDirty: 128n,
  guard: 256n,
} as const;

export interface PageQuery {
  /** Bits of `required` and `anyOf` and results are flipped by `inverted` first. */
  readonly inverted: bigint;
  /** All of these. */
  readonly required: bigint;
  /** At least one of these; 0n asks for none. */
  readonly anyOf: bigint;
  /** Categories reported; equal neighbours are merged. */
  readonly report: bigint;
  /**
   * Matching pages count as not written from now on (PM_SCAN_WP_MATCHING); mappings whose writes are not tracked are passed
   * over then.
   */
  readonly startOver?: boolean;
}

export interface PageRegion {
  readonly start: bigint;
  readonly end: bigint;
  readonly categories: bigint;
}

/** Regions of matching pages in [start, end), ascending. `vector` bounds one call; the scan goes on until the end. */
export function pagemapScan(
  fd: number,
  start: bigint,
  end: bigint,
  query: PageQuery,
  vector = new BigUint64Array(3 * 1024),
): PageRegion[] {
  const native = addon();
  const found: PageRegion[] = [];
  const arg = new BigUint64Array(12);
  let from = start;
  while (from < end) {
    arg.set([
      96n,
      query.startOver === true ? WP_MATCHING : 0n,
      from,
      end,
      0n,
      native.addressOf(vector),
      BigInt(vector.length / 3),
      0n,
      query.inverted,
      query.required,
      query.anyOf,
      query.report,
    ]);
    const result = rawSyscall('ioctl', fd, PAGEMAP_SCAN, arg);
    keepReachable(vector);
    if (result === -4) continue;
    if (result < 0)
      throw new SyscallError(`ioctl(PAGEMAP_SCAN, 0x${from.toString(16)}..0x${end.toString(16)})`, -result);
    for (let i = 0; i < result; i++) {
      found.push({ start: vector[3 * i]!, end: vector[3 * i + 1]!, categories: vector[3 * i + 2]! });
    }
    // With room left in the vector the walk reached the end, whatever walk_end says: it is stale when the kernel's own
    // buffer of 512 regions was flushed before (do_pagemap_scan(), fs/proc/task_mmu.c; measured on 6.18).
    if (result < vector.length / 3) break;
    const walked = arg[4]!;
    const last = vector[3 * result - 2]!;
    from = walked > last ? walked : last;
  }
  return found;
}
