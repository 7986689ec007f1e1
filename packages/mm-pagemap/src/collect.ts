import { PAGE_IS, type PageQuery, pagemapScan, preadFull } from '@crts/native-syscalls';
import type { PageArea } from '@crts/plugin-api';
import { PAGE, USER_END } from './pagemap';

/** A stretch of pages to store, and how. */
export interface PageStretch {
  readonly start: bigint;
  readonly end: bigint;
  readonly readable: boolean;
  readonly lazy: boolean;
  /** Not written since the parent set was made. */
  readonly unchanged: boolean;
}

export interface Region {
  readonly start: bigint;
  readonly end: bigint;
}

/** PAGEMAP_SCAN of one address space. */
export type Scan = (start: bigint, end: bigint, query: PageQuery) => readonly (Region & { categories: bigint })[];

const NOT_OF_ITS_OWN = PAGE_IS.pfnZero | PAGE_IS.file;
/**
 * Pages that hold something a mapping alone does not bring back: present or swapped, no zero page, and no page cache of
 * a mapped file. Guards count as swapped. fs/proc/task_mmu.c, pagemap_page_category().
 */
const OWN_PAGES: PageQuery = {
  inverted: NOT_OF_ITS_OWN,
  required: NOT_OF_ITS_OWN,
  anyOf: PAGE_IS.present | PAGE_IS.swapped,
  report: PAGE_IS.guard,
};

function trackedPages(startOver: boolean): PageQuery {
  return { ...OWN_PAGES, report: PAGE_IS.guard | PAGE_IS.written | PAGE_IS.present, startOver };
}

/** Whether nothing is at a page but a mark of the tracking. */
export type MarkerProbe = (address: bigint) => boolean;

const ENTRY_BYTES = 8;
/** The last type of swap entries, PTE_MARKER_UFFD_WP as offset, "swapped": include/linux/swap.h, swapops.h, pagemap_read(). */
const SWAPPED = 1n << 62n;
const MARKER = 31n | (1n << 5n);
const PLACE = (1n << 55n) - 1n;

/** Without CAP_SYS_ADMIN the kernel does not tell: then it is a page, and its contents are looked at. */
export function markerProbe(pagemap: number): MarkerProbe {
  const bytes = Buffer.alloc(ENTRY_BYTES);
  return (address) => {
    preadFull(pagemap, bytes, (address / PAGE) * BigInt(ENTRY_BYTES));
    const entry = bytes.readBigUInt64LE();
    return (entry & SWAPPED) !== 0n && (entry & PLACE) === MARKER;
  };
}

export function scanOf(pagemap: number): Scan {
  const vector = new BigUint64Array(3 * 4096);
  return (start, end, query) => pagemapScan(pagemap, start, end, query, vector);
}

/** Pages to store and guard regions (MADV_GUARD_INSTALL) of all areas, both ascending. */
export function collectPages(
  areas: readonly PageArea[],
  scan: Scan,
  startOver = false,
  isMarker: MarkerProbe = () => false,
): { stretches: PageStretch[]; guards: Region[] } {
  const stretches: PageStretch[] = [];
  const guards: Region[] = [];
  // The vsyscall page lies in the kernel's half, which PAGEMAP_SCAN refuses.
  const own = areas.filter(({ start }) => start < USER_END);
  const isTracked = (area: PageArea) => area.pages === 'private' && area.tracked === true;
  const all = own.some(isTracked) ? undefined : new Walk(scan(own[0]?.start ?? 0n, own.at(-1)?.end ?? 0n, OWN_PAGES));
  for (const area of own) {
    const query = isTracked(area) ? trackedPages(startOver) : OWN_PAGES;
    const found = all?.within(area) ?? scan(area.start, area.end, query);
    let position = area.start;
    for (const region of onlyForward(found, area)) {
      const guard = (region.categories & PAGE_IS.guard) !== 0n;
      // Any mapping of files or memory can have guards, also one whose contents are kept elsewhere (since Linux 6.15).
      if (!guard && area.pages !== 'private') continue;
      if (area.pages === 'all') push(stretches, { start: position, end: region.start }, area);
      if (guard) guards.push({ start: region.start, end: region.end });
      else if (isTracked(area) && isDoubtful(region, area)) {
        for (const page of pagesOf(region)) if (!isMarker(page.start)) push(stretches, page, area);
      } else push(stretches, region, area, area.tracked === true && (region.categories & PAGE_IS.written) === 0n);
      position = region.end;
    }
    if (area.pages === 'all') push(stretches, { start: position, end: area.end }, area);
  }
  return { stretches, guards };
}

/**
 * A page of a file mapping that the program drops, madvise(MADV_DONTNEED), leaves its mark behind, and the scan
 * says "swapped, not written" of it: zap_install_uffd_wp_if_needed(), mm/memory.c. Its contents in the parent set are no more. Of
 * anonymous memory no mark is left.
 */
function isDoubtful({ categories }: { categories: bigint }, { lazy }: PageArea): boolean {
  return !lazy && (categories & (PAGE_IS.present | PAGE_IS.written)) === 0n;
}

function* pagesOf({ start, end }: Region): Generator<Region> {
  for (let at = start; at < end; at += PAGE) yield { start: at, end: at + PAGE };
}

/** Regions of a whole address space, given out by area; areas are asked for in ascending order. */
class Walk {
  readonly #regions: ReturnType<Scan>;
  #next = 0;

  constructor(regions: ReturnType<Scan>) {
    this.#regions = regions;
  }

  /** Neighbouring areas may have one region between them. */
  within({ start, end }: Region): ReturnType<Scan> {
    const found = [];
    for (; this.#next < this.#regions.length; this.#next++) {
      const region = this.#regions[this.#next]!;
      if (region.end <= start) continue;
      if (region.start >= end) break;
      found.push({
        ...region,
        start: region.start < start ? start : region.start,
        end: region.end > end ? end : region.end,
      });
      if (region.end > end) break;
    }
    return found;
  }
}

/**
 * The kernel's walk_end is stale when its own buffer of 512 regions was flushed and the walk then reached the end
 * (do_pagemap_scan(), fs/proc/task_mmu.c; measured on 6.18), so that a scan which goes on from there reports its last
 * regions again. A page must be stored once.
 */
function* onlyForward<R extends Region>(regions: readonly R[], area: Region): Generator<R> {
  let position = area.start;
  for (const region of regions) {
    if (region.end <= position) continue;
    yield region.start < position ? { ...region, start: position } : region;
    position = region.end;
  }
}

function push(stretches: PageStretch[], { start, end }: Region, area: PageArea, unchanged = false): void {
  if (start === end) return;
  const { readable, lazy } = area;
  const last = stretches.at(-1);
  if (last?.end === start && last.readable === readable && last.lazy === lazy && last.unchanged === unchanged) {
    stretches[stretches.length - 1] = { ...last, end };
    return;
  }
  stretches.push({ start, end, readable, lazy, unchanged });
}
