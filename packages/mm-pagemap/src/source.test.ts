import { closeSync, fstatSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ImageRecord, ImageSource } from '@crts/plugin-api';
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
const open = (...entries: ImageRecord[]) => openPages('pagemap', 1, set(entries));

/** An image set of one pagemap, and the set that it builds on. */
function set(entries: readonly ImageRecord[], parent?: ImageSource): ImageSource {
  return {
    read: () => [{ pages_id: 1 }, ...entries],
    rawFd: () => fd,
    rawSize: () => BigInt(fstatSync(fd).size),
    has: () => true,
    ids: () => [1],
    parent: () => parent,
    markDeduplicated: () => undefined,
  };
}

test('runs are found by address, with their place in the file', () => {
  const pages = open(page(0x1000n, 2n), page(0x8000n, 3n, 6));
  expect(pages.runs(0x2000n, 0x9000n)).toEqual([
    { addr: 0x2000n, lengthBytes: 0x1000n, fileOffset: 0x1000n, file: 0 },
    { addr: 0x8000n, lengthBytes: 0x1000n, fileOffset: 0x2000n, file: 0 },
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

describe('an increment', () => {
  const oldest = set([page(0x1000n, 4n)]);
  const middle = set([page(0x1000n, 1n), page(0x2000n, 3n, 1)], oldest);

  test('has pages in the files of its parents', () => {
    const pages = openPages('pagemap', 1, set([page(0x1000n, 2n, 1), page(0x3000n, 1n)], middle));
    expect(pages.files).toHaveLength(3);
    expect(pages.runs(0n, 0x9000n)).toEqual([
      { addr: 0x1000n, lengthBytes: 0x1000n, fileOffset: 0n, file: 1 },
      { addr: 0x2000n, lengthBytes: 0x1000n, fileOffset: 0x1000n, file: 2 },
      { addr: 0x3000n, lengthBytes: 0x1000n, fileOffset: 0n, file: 0 },
    ]);
  });

  test('knows what of its parents may come later', () => {
    const base = set([page(0x1000n, 2n, 6), page(0x3000n, 1n), page(0x4000n, 2n, 6)]);
    const pages = openPages('pagemap', 1, set([page(0x2000n, 3n, 1), page(0x8000n, 1n, 6)], base));
    expect(pages.lazy).toEqual([{ start: 0x8000n, end: 0x9000n }]);
    expect(pages.lazyWithParents).toEqual([
      { start: 0x2000n, end: 0x3000n },
      { start: 0x4000n, end: 0x5000n },
      { start: 0x8000n, end: 0x9000n },
    ]);
  });

  test('that its parent has not all pages of is refused', () => {
    expect(() => openPages('pagemap', 1, set([page(0x4000n, 2n, 1)], middle))).toThrow(/CRTS_IMAGE_REFERENCE/);
  });

  test('without a parent is refused by name', () => {
    expect(() => open(page(0x1000n, 1n, 1))).toThrow(/CRTS_IMAGES_INCREMENTAL/);
  });

  test('of before flags is one too', () => {
    const old = { vaddr: 0x1000n, compat_nr_pages: 1, in_parent: true };
    expect(() => open(old)).toThrow(/CRTS_IMAGES_INCREMENTAL/);
    expect(openPages('pagemap', 1, set([old], oldest)).runs(0n, 0x9000n)).toHaveLength(1);
    expect(open({ vaddr: 0x1000n, compat_nr_pages: 1 }).runs(0n, 0x9000n)).toHaveLength(1);
  });

  test('in a circle is refused', () => {
    const circle: ImageSource = { ...set([page(0x1000n, 1n, 1)]), parent: () => circle };
    expect(() => openPages('pagemap', 1, circle)).toThrow(/CRTS_IMAGES_INCREMENTAL/);
  });
});

test('pages that only a page server has are refused: they would come back as zeros', () => {
  expect(() => open(page(0x1000n, 1n, 2))).toThrow(/CRTS_IMAGE_PLUGIN/);
});

test.each([0, 8, 0x8000_0004])('flags 0x%x are refused', (flags) => {
  expect(() => open(page(0x1000n, 1n, flags))).toThrow(/CRTS_IMAGE_REFERENCE/);
});

test('a pagemap without head is refused', () => {
  expect(() => openPages('pagemap', 1, { ...set([]), read: () => [] })).toThrow(/the head is missing/);
});

describe('pages of other tasks of the set', () => {
  const refers = (vaddr: bigint, nr_pages: bigint, crts_page: bigint, flags = 4): ImageRecord => ({
    ...page(vaddr, nr_pages, flags),
    crts_pages_id: 9,
    crts_page,
  });

  test('are runs in files of their own, before those of parents', () => {
    const parent = set([page(0x1000n, 1n)]);
    const pages = openPages(
      'pagemap',
      1,
      set([page(0x1000n, 1n, 1), refers(0x2000n, 2n, 3n), page(0x8000n, 1n)], parent),
    );
    expect(pages.names).toEqual(['pages-1.img', 'pages-9.img', 'parent/pages-1.img']);
    expect(pages.runs(0n, 0x9000n)).toEqual([
      { addr: 0x1000n, lengthBytes: 0x1000n, fileOffset: 0n, file: 2 },
      { addr: 0x2000n, lengthBytes: 0x2000n, fileOffset: 0x3000n, file: 1 },
      { addr: 0x8000n, lengthBytes: 0x1000n, fileOffset: 0n, file: 0 },
    ]);
    expect(pages.files).toHaveLength(3);
  });

  test.each([
    ['behind the end of the image', refers(0x1000n, 2n, 4n)],
    ['where no offset can be', refers(0x1000n, 2n, 2n ** 62n)],
    ['in the parent as well', refers(0x1000n, 2n, 0n, 1)],
  ])('%s are refused', (_what, entry) => {
    expect(() => open(entry)).toThrow(/CRTS_IMAGE_REFERENCE/);
  });

  test('whose image is named by the head in a field of ours', () => {
    const source = { ...set([]), read: () => [{ pages_id: 0xffff_ffff, crts_pages_id: 5 }, page(0x1000n, 1n)] };
    expect(openPages('pagemap', 1, source).names).toEqual(['pages-5.img']);
  });
});
