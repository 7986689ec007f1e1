/** Contents of objects that are files in memory: found by their holes, copied inside the kernel. */
import { closeSync, ftruncateSync, openSync } from 'node:fs';
import type { PagemapHead } from '@crts/image-io';
import { errnoName, preallocate, rawSyscall } from '@crts/native-syscalls';
import type { ImageSink, PageOutlet, PageStats, StoredMemory } from '@crts/plugin-api';
import { objectUnreadable, pagesNotWritten } from './errors';
import { type Extent, entryOf } from './extents';
import { dumpHuge } from './huge';
import { PRESENT } from './pagemap';
import { sendFile } from './send';

const SEEK_SET = 0;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ENXIO = 6;
const EINTR = 4;
const PAGE = 4096;
/** sendfile(2) moves at most 0x7ffff000 bytes at once. */
const PIECE_BYTES = 1 << 30;

export function dumpShared(memory: StoredMemory, sink: ImageSink, outlet?: PageOutlet): Omit<PageStats, 'guards'> {
  const { shmid, pagesId, sizeBytes, via } = memory;
  // Without size there is nothing to map, and CRIU has no image then.
  if (sizeBytes === 0n) return { pagesScanned: 0, pagesWritten: 0 };
  const object = openObject(via);
  try {
    if (memory.hugePageBytes !== undefined) return dumpHuge(memory, object, sink, outlet);
    const extents = extentsOf(object, via);
    const total = extents.reduce((sum, { start, end }) => sum + end - start, 0);
    if (outlet === undefined) {
      const head: PagemapHead = { pages_id: pagesId };
      sink.write('pagemap-shmem', shmid, [head, ...extents.map(entryOf)]);
      const pages = sink.rawFd('pages', pagesId);
      if (total > 0) copyExtents(object, via, extents, pages, total);
    } else sendExtents(object, sizeBytes, extents, shmid, outlet);
    return { pagesScanned: Number((sizeBytes + BigInt(PAGE - 1)) / BigInt(PAGE)), pagesWritten: total / PAGE };
  } finally {
    closeSync(object);
  }
}

function sendExtents(
  object: number,
  sizeBytes: bigint,
  extents: readonly Extent[],
  shmid: number,
  outlet: PageOutlet,
): void {
  outlet.open('pagemap-shmem', shmid);
  outlet.expect(extents.reduce((sum, { start, end }) => sum + BigInt(end - start), 0n));
  for (const { start, end } of extents) {
    outlet.send(outlet.record(BigInt(start), BigInt(end), PRESENT), true);
    rawSyscall('lseek', object, start, SEEK_SET);
    const inside = Math.min(end, Number(sizeBytes)) - start;
    sendFile(outlet, object, inside);
    // What the last page has behind the end of the object is zeroes.
    if (inside < end - start) outlet.send(Buffer.alloc(end - start - inside), true);
  }
}

function openObject(via: string): number {
  try {
    return openSync(via, 'r');
  } catch (error) {
    throw objectUnreadable(via, (error as NodeJS.ErrnoException).code);
  }
}

/** Whole pages that hold something: allocated, or swapped out. A file in memory has its holes by the page. */
function extentsOf(object: number, via: string): Extent[] {
  const extents: Extent[] = [];
  for (let at = 0; ; ) {
    const start = rawSyscall('lseek', object, at, SEEK_DATA);
    if (start === -ENXIO) return extents;
    const end = start < 0 ? start : rawSyscall('lseek', object, start, SEEK_HOLE);
    if (end < 0) throw objectUnreadable(via, errnoName(-end));
    // The end of the file may be inside a page.
    at = Math.ceil(end / PAGE) * PAGE;
    extents.push({ start, end: at });
  }
}

function copyExtents(object: number, via: string, extents: readonly Extent[], pages: number, total: number): void {
  const failed = (errno: string | undefined) => pagesNotWritten(undefined, BigInt(total), errno);
  try {
    preallocate(pages, BigInt(total));
    // What the last page has behind the end of the object is zeroes.
    ftruncateSync(pages, total);
  } catch (error) {
    const { errno, code } = error as { errno?: string | number; code?: string };
    throw failed(typeof errno === 'string' ? errno : code);
  }
  let position = 0;
  for (const { start, end } of extents) {
    rawSyscall('lseek', object, start, SEEK_SET);
    rawSyscall('lseek', pages, position, SEEK_SET);
    for (let left = end - start; left > 0; ) {
      const sent = rawSyscall('sendfile', pages, object, null, Math.min(left, PIECE_BYTES));
      if (sent === -EINTR) continue;
      if (sent < 0) throw sent === -5 ? objectUnreadable(via, 'EIO') : failed(errnoName(-sent));
      // The end of the object, inside its last page.
      if (sent === 0) break;
      left -= sent;
    }
    position += end - start;
  }
}
