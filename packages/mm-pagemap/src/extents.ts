import type { PagemapEntry } from '@crts/image-io';

/** PE_PRESENT of the format. */
const PRESENT = 4;
const PAGE = 4096;

/** Whole pages of an object that hold something. */
export interface Extent {
  readonly start: number;
  readonly end: number;
}

export function entryOf({ start, end }: Extent): PagemapEntry {
  return { vaddr: BigInt(start), compat_nr_pages: 0, flags: PRESENT, nr_pages: BigInt((end - start) / PAGE) };
}
