import { PAGE_IS, type PageRegion, pagemapScan } from '@crts/native-syscalls';
import type { PageArea } from '@crts/plugin-api';

/** A stretch of pages to store, and how. */
export interface PageStretch {
  readonly start: bigint;
  readonly end: bigint;
  readonly readable: boolean;
  readonly lazy: boolean;
}

/**
 * Pages that hold something a mapping alone does not bring back: present or swapped, no zero page, and no page cache of
 * a mapped file. fs/proc/task_mmu.c, pagemap_page_category().
 */
export function collectPages(
  pagemap: number,
  areas: readonly PageArea[],
): { stretches: PageStretch[]; guards: PageRegion[] } {
  const stretches: PageStretch[] = [];
  const guards: PageRegion[] = [];
  const vector = new BigUint64Array(3 * 4096);
  for (const area of areas) {
    if (area.pages === 'none') continue;
    if (area.pages === 'all') {
      push(stretches, area, area);
      continue;
    }
    // With `inverted`, a required bit of these two means: not the zero page, not a file page.
    const inverted = PAGE_IS.pfnZero | PAGE_IS.file;
    const query = { inverted, required: inverted, anyOf: PAGE_IS.present | PAGE_IS.swapped, report: PAGE_IS.guard };
    for (const region of pagemapScan(pagemap, area.start, area.end, query, vector)) {
      if ((region.categories & PAGE_IS.guard) !== 0n) guards.push(region);
      else push(stretches, region, area);
    }
  }
  return { stretches, guards };
}

function push(stretches: PageStretch[], region: { start: bigint; end: bigint }, area: PageArea): void {
  const last = stretches.at(-1);
  if (last !== undefined && last.end === region.start && last.readable === area.readable && last.lazy === area.lazy) {
    stretches[stretches.length - 1] = { ...last, end: region.end };
    return;
  }
  stretches.push({ start: region.start, end: region.end, readable: area.readable, lazy: area.lazy });
}
