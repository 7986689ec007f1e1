/** Search for a stretch of addresses that nothing of a task touches. Addresses in bytes, page aligned. */

/** End of user addresses with four-level paging, minus the guard page: TASK_SIZE_MAX, arch/x86/include/asm/page_64_types.h. */
const USER_END = 0x7fff_ffff_f000n;

/**
 * Where the search begins: above what non-PIE programs, their heap and low-address allocators use, below where the
 * kernel places PIE programs (0x55...) and mmaps (0x7f...), arch/x86/include/asm/elf.h ELF_ET_DYN_BASE.
 */
const SEARCH_START = 0x2000_0000_0000n;
const SEARCH_LOW = 0x1000_0000n;

/** Distance to neighbours: the kernel keeps stack_guard_gap (256 pages) free below a growing stack. */
const DISTANCE = 0x20_0000n;

export interface AddressRange {
  readonly start: bigint;
  readonly end: bigint;
}

/** Start of a free stretch of `size` bytes between `taken` (ascending), or undefined. */
export function findFreeArea(taken: readonly AddressRange[], size: bigint): bigint | undefined {
  return search(taken, size, SEARCH_START) ?? search(taken, size, SEARCH_LOW);
}

function search(taken: readonly AddressRange[], size: bigint, from: bigint): bigint | undefined {
  let candidate = from;
  for (const range of taken) {
    if (range.end + DISTANCE <= candidate) continue;
    if (range.start >= candidate + size + DISTANCE) break;
    candidate = (range.end + DISTANCE + 0xfffn) & ~0xfffn;
  }
  return candidate + size <= USER_END ? candidate : undefined;
}
