import { fstatSync } from 'node:fs';
import type { PagemapEntry, PagemapHead } from '@crts/image-io';
import { preadFull } from '@crts/native-syscalls';
import type { ImageSource, PageSource, StoredRun } from '@crts/plugin-api';
import { badPagemap, chainTooLong, noParent, pagesElsewhere } from './errors';

const PARENT = 1;
const LAZY = 2;
const PRESENT = 4;
const PAGE = 4096n;
const USER_END = 0x7fff_ffff_f000n;
/** Sets that build on each other: more would be a circle of links, or nobody's idea of a checkpoint. */
const CHAIN_MAX = 128;

/**
 * Reads and validates a pagemap: `pagemap` of a task, `pagemap-shmem` of an object. What an increment leaves to its parent is
 * looked for there, and so on; every page has to be found somewhere.
 */
export function openPages(kind: string, id: number, source: ImageSource, depth = 0): PageSource {
  const [head, ...entries] = source.read(kind, id) as [PagemapHead | undefined, ...PagemapEntry[]];
  const image = `${'parent/'.repeat(depth)}${kind}-${id}.img`;
  if (head === undefined) throw badPagemap(image, 0, 'the head is missing');
  if (depth > CHAIN_MAX) throw chainTooLong(image, CHAIN_MAX);
  const runs: StoredRun[] = [];
  let parent: PageSource | undefined;
  let fileOffset = 0n;
  let end = 0n;
  entries.forEach((entry, index) => {
    const bad = (what: string) => badPagemap(image, index + 1, what);
    const { flags, length } = checkedEntry(entry, end, bad);
    end = entry.vaddr + length;
    if ((flags & PARENT) !== 0) {
      parent ??= openParent(kind, id, source, image, depth);
      const found = parent.runs(entry.vaddr, end);
      if (found.reduce((sum, run) => sum + run.lengthBytes, 0n) !== length)
        throw bad(`not all pages from 0x${entry.vaddr.toString(16)} are in the parent set`);
      for (const run of found) runs.push({ ...run, file: run.file + 1 });
      return;
    }
    if ((flags & PRESENT) === 0) throw pagesElsewhere(image);
    runs.push({ addr: entry.vaddr, lengthBytes: length, fileOffset, file: 0 });
    fileOffset += length;
  });
  const fd = source.rawFd('pages', head.pages_id);
  const { size } = fstatSync(fd, { bigint: true });
  if (size < fileOffset)
    throw badPagemap(image, entries.length, `the pages image has ${size} bytes, the pagemap needs ${fileOffset}`);
  const files = [fd, ...(parent?.files ?? [])];
  return {
    files,
    runs: (from, to) => overlapping(runs, from, to),
    read: (addr, length) => readStored(runs, files, addr, length),
  };
}

function checkedEntry(entry: PagemapEntry, end: bigint, bad: (what: string) => Error) {
  const pages = entry.nr_pages ?? BigInt(entry.compat_nr_pages ?? 0);
  // Before flags existed, every entry was present or in the parent.
  const flags = entry.flags ?? (entry.in_parent === true ? PARENT : PRESENT);
  if ((flags & ~(PARENT | LAZY | PRESENT)) !== 0 || flags === 0)
    throw bad(`flags 0x${flags.toString(16)} have no meaning`);
  if (entry.vaddr % PAGE !== 0n) throw bad(`address 0x${entry.vaddr.toString(16)} is not page aligned`);
  if (pages === 0n || pages > (USER_END - entry.vaddr) / PAGE || entry.vaddr >= USER_END)
    throw bad(`${pages} pages do not fit the address space`);
  if (entry.vaddr < end) throw bad(`pages at 0x${entry.vaddr.toString(16)} overlap the entry before`);
  return { flags, length: pages * PAGE };
}

function openParent(kind: string, id: number, source: ImageSource, image: string, depth: number): PageSource {
  const parent = source.parent();
  if (parent === undefined || !parent.has(kind, id)) throw noParent(image);
  return openPages(kind, id, parent, depth + 1);
}

/** Index of the first run that ends behind `addr`. */
function firstBehind(runs: readonly StoredRun[], addr: bigint): number {
  let low = 0;
  let high = runs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const run = runs[middle]!;
    if (run.addr + run.lengthBytes <= addr) low = middle + 1;
    else high = middle;
  }
  return low;
}

function overlapping(runs: readonly StoredRun[], from: bigint, to: bigint): StoredRun[] {
  const found: StoredRun[] = [];
  for (let index = firstBehind(runs, from); index < runs.length && runs[index]!.addr < to; index++) {
    const run = runs[index]!;
    const start = run.addr > from ? run.addr : from;
    const end = run.addr + run.lengthBytes < to ? run.addr + run.lengthBytes : to;
    found.push({ ...run, addr: start, lengthBytes: end - start, fileOffset: run.fileOffset + (start - run.addr) });
  }
  return found;
}

function readStored(
  runs: readonly StoredRun[],
  files: readonly number[],
  addr: bigint,
  length: number,
): Buffer | undefined {
  const found = overlapping(runs, addr, addr + BigInt(length));
  const stored = found.reduce((sum, run) => sum + run.lengthBytes, 0n);
  if (stored !== BigInt(length)) return undefined;
  const bytes = Buffer.alloc(length);
  for (const run of found) {
    const at = Number(run.addr - addr);
    preadFull(files[run.file]!, bytes.subarray(at, at + Number(run.lengthBytes)), run.fileOffset);
  }
  return bytes;
}
