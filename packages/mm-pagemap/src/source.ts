import { preadFull } from '@crts/native-syscalls';
import type { ImageSource, PageSource, StoredRun } from '@crts/plugin-api';
import type { Region } from './collect';
import { badPagemap, chainTooLong, noParent } from './errors';
import { readPagemap } from './pagemap';

/** Sets that build on each other: more would be a circle of links, or nobody's idea of a checkpoint. */
export const CHAIN_MAX = 128;

/** Added to the numbers of a parent's files until it is known how many come before them. */
const PARENT_FILES = 2 ** 40;

export function imageName(kind: string, id: number, depth: number): string {
  return `${'parent/'.repeat(depth)}${kind}-${id}.img`;
}

/**
 * Reads and validates a pagemap: `pagemap` of a task, `pagemap-shmem` of an object. What an increment leaves to its parent is
 * looked for there, and so on; every page has to be found somewhere.
 */
export function openPages(
  kind: string,
  id: number,
  source: ImageSource,
  { depth = 0, elsewhere = false }: { readonly depth?: number; readonly elsewhere?: boolean } = {},
): PageSource {
  const image = imageName(kind, id, depth);
  if (depth > CHAIN_MAX) throw chainTooLong(image, CHAIN_MAX);
  const { pagesId, entries, sizeBytes } = readPagemap(kind, id, source, image, elsewhere);
  const runs: StoredRun[] = [];
  const others = new Others(source, image);
  let parent: PageSource | undefined;
  const lazyWithParents: Region[] = [];
  entries.forEach(({ addr, lengthBytes, inParent, isElsewhere, isLazy, fileOffset, pagesId: other }, index) => {
    if (isLazy) lazyWithParents.push({ start: addr, end: addr + lengthBytes });
    if (isElsewhere) return;
    if (!inParent) {
      const file = other === undefined ? 0 : others.fileOf(other, fileOffset + lengthBytes, index + 1);
      runs.push({ addr, lengthBytes, fileOffset, file });
      return;
    }
    parent ??= openParent(kind, id, source, image, depth);
    const found = parent.runs(addr, addr + lengthBytes);
    if (found.reduce((sum, run) => sum + run.lengthBytes, 0n) !== lengthBytes)
      throw badPagemap(image, index + 1, `not all pages from 0x${addr.toString(16)} are in the parent set`);
    for (const run of found) runs.push({ ...run, file: run.file + PARENT_FILES });
    lazyWithParents.push(...within(parent.lazyWithParents, addr, addr + lengthBytes));
  });
  const size = source.rawSize('pages', pagesId);
  if (size < sizeBytes)
    throw badPagemap(image, entries.length, `the pages image has ${size} bytes, the pagemap needs ${sizeBytes}`);
  const firstOfParent = 1 + others.ids.length;
  for (const [index, run] of runs.entries())
    if (run.file >= PARENT_FILES) runs[index] = { ...run, file: run.file - PARENT_FILES + firstOfParent };
  // Opened when they are asked for: who only compares pagemaps needs none, and a compressed one has none.
  let files: readonly number[] | undefined;
  const open = () => {
    files ??= [pagesId, ...others.ids].map((one) => source.rawFd('pages', one)).concat(parent?.files ?? []);
    return files;
  };
  return {
    get files() {
      return open();
    },
    names: [...[pagesId, ...others.ids].map((one) => imageName('pages', one, depth)), ...(parent?.names ?? [])],
    lazy: entries
      .filter(({ isLazy }) => isLazy)
      .map(({ addr, lengthBytes }) => ({ start: addr, end: addr + lengthBytes })),
    lazyWithParents,
    runs: (from, to) => overlapping(runs, from, to),
    read: (addr, length) => readStored(runs, open, addr, length),
  };
}

/** Pages images of other tasks of the set that a pagemap refers to: files 1 and up. */
class Others {
  readonly ids: number[] = [];
  readonly #sizes = new Map<number, bigint>();

  constructor(
    readonly source: ImageSource,
    readonly image: string,
  ) {}

  fileOf(pagesId: number, end: bigint, entry: number): number {
    const size = this.#sizes.get(pagesId) ?? this.source.rawSize('pages', pagesId);
    this.#sizes.set(pagesId, size);
    if (end > size)
      throw badPagemap(this.image, entry, `pages-${pagesId}.img has ${size} bytes, the entry needs ${end}`);
    if (!this.ids.includes(pagesId)) this.ids.push(pagesId);
    return 1 + this.ids.indexOf(pagesId);
  }
}

function openParent(kind: string, id: number, source: ImageSource, image: string, depth: number): PageSource {
  const parent = source.parent();
  if (parent === undefined || !parent.has(kind, id)) throw noParent(image);
  return openPages(kind, id, parent, { depth: depth + 1 });
}

/** Parts of ascending regions that lie in [start, end). */
function within(regions: readonly Region[], start: bigint, end: bigint): Region[] {
  const found: Region[] = [];
  for (let index = firstBehind(regions, start, (region) => region.end); index < regions.length; index++) {
    const region = regions[index]!;
    if (region.start >= end) break;
    found.push({ start: region.start > start ? region.start : start, end: region.end < end ? region.end : end });
  }
  return found;
}

const endOfRun = ({ addr, lengthBytes }: StoredRun) => addr + lengthBytes;

/** Index of the first that ends behind `addr`. */
function firstBehind<T>(sorted: readonly T[], addr: bigint, endOf: (one: T) => bigint): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (endOf(sorted[middle]!) <= addr) low = middle + 1;
    else high = middle;
  }
  return low;
}

function overlapping(runs: readonly StoredRun[], from: bigint, to: bigint): StoredRun[] {
  const found: StoredRun[] = [];
  for (let index = firstBehind(runs, from, endOfRun); index < runs.length && runs[index]!.addr < to; index++) {
    const run = runs[index]!;
    const start = run.addr > from ? run.addr : from;
    const end = run.addr + run.lengthBytes < to ? run.addr + run.lengthBytes : to;
    const fileOffset = run.fileOffset + (start - run.addr);
    found.push({ addr: start, lengthBytes: end - start, fileOffset, file: run.file });
  }
  return found;
}

function readStored(
  runs: readonly StoredRun[],
  files: () => readonly number[],
  addr: bigint,
  length: number,
): Buffer | undefined {
  const found = overlapping(runs, addr, addr + BigInt(length));
  const stored = found.reduce((sum, run) => sum + run.lengthBytes, 0n);
  if (stored !== BigInt(length)) return undefined;
  const bytes = Buffer.alloc(length);
  for (const run of found) {
    const at = Number(run.addr - addr);
    preadFull(files()[run.file]!, bytes.subarray(at, at + Number(run.lengthBytes)), run.fileOffset);
  }
  return bytes;
}
