import { fstatSync } from 'node:fs';
import type { PagemapEntry, PagemapHead } from '@crts/image-io';
import { preadFull } from '@crts/native-syscalls';
import type { ImageSource, PageRun, PageSource } from '@crts/plugin-api';
import { badPagemap, incremental, pagesElsewhere } from './errors';

const PARENT = 1;
const LAZY = 2;
const PRESENT = 4;
const PAGE = 4096n;
const USER_END = 0x7fff_ffff_f000n;

/** Reads and validates a pagemap: `pagemap` of a task, `pagemap-shmem` of an object. */
export function openPages(kind: string, id: number, source: ImageSource): PageSource {
  const [head, ...entries] = source.read(kind, id) as [PagemapHead | undefined, ...PagemapEntry[]];
  const image = `${kind}-${id}.img`;
  if (head === undefined) throw badPagemap(image, 0, 'the head is missing');
  const runs: PageRun[] = [];
  let fileOffset = 0n;
  let end = 0n;
  entries.forEach((entry, index) => {
    const pages = entry.nr_pages ?? BigInt(entry.compat_nr_pages ?? 0);
    if (entry.in_parent === true) throw incremental(image);
    // Before flags existed, every entry was present or in the parent.
    const flags = entry.flags ?? PRESENT;
    if ((flags & ~(PARENT | LAZY | PRESENT)) !== 0 || flags === 0)
      throw badPagemap(image, index + 1, `flags 0x${flags.toString(16)} have no meaning`);
    if ((flags & PARENT) !== 0) throw incremental(image);
    if ((flags & PRESENT) === 0) throw pagesElsewhere(image);
    if (entry.vaddr % PAGE !== 0n)
      throw badPagemap(image, index + 1, `address 0x${entry.vaddr.toString(16)} is not page aligned`);
    if (pages === 0n || pages > (USER_END - entry.vaddr) / PAGE || entry.vaddr >= USER_END)
      throw badPagemap(image, index + 1, `${pages} pages do not fit the address space`);
    if (entry.vaddr < end)
      throw badPagemap(image, index + 1, `pages at 0x${entry.vaddr.toString(16)} overlap the entry before`);
    end = entry.vaddr + pages * PAGE;
    runs.push({ addr: entry.vaddr, lengthBytes: pages * PAGE, fileOffset });
    fileOffset += pages * PAGE;
  });
  const fd = source.rawFd('pages', head.pages_id);
  const { size } = fstatSync(fd, { bigint: true });
  if (size < fileOffset)
    throw badPagemap(image, entries.length, `the pages image has ${size} bytes, the pagemap needs ${fileOffset}`);
  return {
    fd,
    runs: (from, to) => overlapping(runs, from, to),
    read: (addr, length) => readStored(runs, fd, addr, length),
  };
}

/** Index of the first run that ends behind `addr`. */
function firstBehind(runs: readonly PageRun[], addr: bigint): number {
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

function overlapping(runs: readonly PageRun[], from: bigint, to: bigint): PageRun[] {
  const found: PageRun[] = [];
  for (let index = firstBehind(runs, from); index < runs.length && runs[index]!.addr < to; index++) {
    const run = runs[index]!;
    const start = run.addr > from ? run.addr : from;
    const end = run.addr + run.lengthBytes < to ? run.addr + run.lengthBytes : to;
    found.push({ addr: start, lengthBytes: end - start, fileOffset: run.fileOffset + (start - run.addr) });
  }
  return found;
}

function readStored(runs: readonly PageRun[], fd: number, addr: bigint, length: number): Buffer | undefined {
  const found = overlapping(runs, addr, addr + BigInt(length));
  const stored = found.reduce((sum, run) => sum + run.lengthBytes, 0n);
  if (stored !== BigInt(length)) return undefined;
  const bytes = Buffer.alloc(length);
  for (const run of found) {
    const at = Number(run.addr - addr);
    preadFull(fd, bytes.subarray(at, at + Number(run.lengthBytes)), run.fileOffset);
  }
  return bytes;
}
