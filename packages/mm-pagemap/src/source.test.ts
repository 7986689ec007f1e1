import { closeSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ImageRecord } from '@crts/plugin-api';
import { openPages } from './source';

const file = join(tmpdir(), `crts-pages-${process.pid}`);
const fd = openSync(file, 'w+');
ftruncateSync(fd, 5 * 4096);
writeSync(fd, 'marker', 2 * 4096);
afterAll(() => {
  closeSync(fd);
  rmSync(file);
});

const page = (vaddr: bigint, nr_pages: bigint, flags = 4): ImageRecord => ({
  vaddr,
  compat_nr_pages: 0,
  nr_pages,
  flags,
});
const open = (...entries: ImageRecord[]) =>
  openPages('pagemap', 1, { read: () => [{ pages_id: 1 }, ...entries], rawFd: () => fd });

test('runs are found by address, with their place in the file', () => {
  const pages = open(page(0x1000n, 2n), page(0x8000n, 3n, 6));
  expect(pages.runs(0x2000n, 0x9000n)).toEqual([
    { addr: 0x2000n, lengthBytes: 0x1000n, fileOffset: 0x1000n },
    { addr: 0x8000n, lengthBytes: 0x1000n, fileOffset: 0x2000n },
  ]);
  expect(pages.runs(0x3000n, 0x8000n)).toEqual([]);
  expect(pages.read(0x8000n, 6)!.toString()).toBe('marker');
  expect(pages.read(0x2000n, 0x2000)).toBeUndefined();
});

test.each([
  ['not aligned', [page(0x1001n, 1n)]],
  ['overlapping', [page(0x1000n, 2n), page(0x2000n, 1n)]],
  ['outside user space', [page(0x7fff_ffff_f000n, 1n)]],
  ['empty', [page(0x1000n, 0n)]],
  ['longer than the pages image', [page(0x1000n, 6n)]],
])('a pagemap that is %s is refused', (_what, entries) => {
  expect(() => open(...entries)).toThrow(/CRTS_IMAGE_REFERENCE/);
});

test('an increment is refused by name', () => {
  expect(() => open(page(0x1000n, 1n, 1))).toThrow(/CRTS_IMAGES_INCREMENTAL/);
});

test('an old increment, of before flags, is refused too', () => {
  expect(() => open({ vaddr: 0x1000n, compat_nr_pages: 1, in_parent: true })).toThrow(/CRTS_IMAGES_INCREMENTAL/);
  expect(open({ vaddr: 0x1000n, compat_nr_pages: 1 }).runs(0n, 0x9000n)).toHaveLength(1);
});

test('pages that only a page server has are refused: they would come back as zeros', () => {
  expect(() => open(page(0x1000n, 1n, 2))).toThrow(/CRTS_IMAGE_PLUGIN/);
});

test.each([0, 8, 0x8000_0004])('flags 0x%x are refused', (flags) => {
  expect(() => open(page(0x1000n, 1n, flags))).toThrow(/CRTS_IMAGE_REFERENCE/);
});

test('a pagemap without head is refused', () => {
  expect(() => openPages('pagemap', 1, { read: () => [], rawFd: () => fd })).toThrow(/the head is missing/);
});
