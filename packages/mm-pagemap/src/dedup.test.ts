import { closeSync, fstatSync, openSync, readSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ImageRecord, ImageSource } from '@crts/plugin-api';
import fc from 'fast-check';
import { dedup, merge, overlaps, punchRestored } from './dedup';
import { openPages } from './source';

const PAGE = 4096;
const BASE = 0x10000n;
let files: { path: string; fd: number }[] = [];

afterEach(() => {
  for (const { path, fd } of files) {
    closeSync(fd);
    rmSync(path);
  }
  files = [];
});

type Where = 'own' | 'parent' | 'none';

interface TestSet extends ImageSource {
  readonly fd: number;
  marked: boolean;
}

/** A set of one task, page by page; own pages hold `mark` in every byte. */
function setOf(pages: readonly Where[], mark: number, parent?: TestSet): TestSet {
  const entries: ImageRecord[] = [];
  const path = join(tmpdir(), `crts-dedup-${process.pid}-${files.length}`);
  const fd = openSync(path, 'w+');
  files.push({ path, fd });
  let at = 0;
  pages.forEach((where, index) => {
    if (where === 'none') return;
    const flags = where === 'own' ? 4 : 1;
    entries.push({ vaddr: BASE + BigInt(index * PAGE), compat_nr_pages: 0, nr_pages: 1n, flags });
    if (where !== 'own') return;
    writeSync(fd, Buffer.alloc(PAGE, mark), 0, PAGE, at);
    at += PAGE;
  });
  return {
    fd,
    marked: false,
    read: () => [{ pages_id: 1 }, ...entries],
    rawFd: () => fd,
    rawSize: () => BigInt(fstatSync(fd).size),
    has: (kind) => kind === 'pagemap',
    ids: (kind) => (kind === 'pagemap' ? [1] : []),
    parent: () => parent,
    markDeduplicated() {
      this.marked = true;
    },
  };
}

/** First bytes of the pages of a file. */
function marks(fd: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => {
    const byte = Buffer.alloc(1);
    readSync(fd, byte, 0, 1, index * PAGE);
    return byte[0]!;
  });
}

test('what the set has itself is punched out of all older ones; their sizes stay', () => {
  const oldest = setOf(['own', 'own', 'own', 'own'], 1);
  const middle = setOf(['own', 'parent', 'none', 'parent'], 2, oldest);
  const newest = setOf(['own', 'own', 'own', 'parent'], 3, middle);
  // Page 2 is not known to the middle one: as with CRIU, it is not looked for behind it.
  expect(dedup(newest)).toBe(3n * 4096n);
  expect(marks(oldest.fd, 4)).toEqual([0, 0, 1, 1]);
  expect(marks(middle.fd, 1)).toEqual([0]);
  expect(marks(newest.fd, 3)).toEqual([3, 3, 3]);
  expect(statSync(`/proc/self/fd/${oldest.fd}`).size).toBe(4 * PAGE);
  expect([oldest.marked, middle.marked, newest.marked]).toEqual([true, true, false]);
});

test('a set that loses nothing is not marked', () => {
  const parent = setOf(['own'], 1);
  expect(dedup(setOf(['parent'], 2, parent))).toBe(0n);
  expect(parent.marked).toBe(false);
});

test('a set without a parent is refused, and so is a chain in a circle', () => {
  expect(() => dedup(setOf(['own'], 1))).toThrow(/CRTS_IMAGES_INCREMENTAL/);
  const circle: TestSet = { ...setOf(['own'], 1), parent: () => circle };
  expect(() => dedup(circle)).toThrow(/CRTS_IMAGES_INCREMENTAL/);
});

test('a set whose tasks share pages in the images loses none', () => {
  const parent = setOf(['own'], 1);
  const shared = {
    ...parent,
    read: () => [{ pages_id: 1 }, { vaddr: BASE, compat_nr_pages: 0, nr_pages: 1n, flags: 4, crts_pages_id: 2 }],
  };
  expect(() => dedup(setOf(['own'], 2, shared))).toThrow(/CRTS_IMAGES_SHARED/);
});

test('after a restore nothing is left of what it read', () => {
  const parent = setOf(['own', 'own'], 1);
  const child = setOf(['own', 'parent'], 2, parent);
  expect(punchRestored(child)).toBe(2n * 4096n);
  expect([...marks(parent.fd, 2), ...marks(child.fd, 1)]).toEqual([1, 0, 0]);
  expect([parent.marked, child.marked]).toEqual([true, true]);
});

test('the newest set of any chain reads the same before and after', () => {
  const pages = 12;
  const level = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: pages, maxLength: pages });
  fc.assert(
    fc.property(fc.array(level, { minLength: 2, maxLength: 4 }), (levels) => {
      let known = new Set<number>();
      let set: TestSet | undefined;
      levels.forEach((choice, depth) => {
        const where = choice.map((one, index): Where => {
          if (one === 0) return 'none';
          return one === 1 && known.has(index) ? 'parent' : 'own';
        });
        known = new Set(where.flatMap((one, index) => (one === 'none' ? [] : [index])));
        set = setOf(where, depth + 1, set);
      });
      const read = () =>
        [...known].map((index) => openPages('pagemap', 1, set!).read(BASE + BigInt(index * PAGE), PAGE)![0]);
      const before = read();
      dedup(set!);
      expect(read()).toEqual(before);
      expect(dedup(set!)).toBeGreaterThanOrEqual(0n);
    }),
    { seed: 5, numRuns: 60 },
  );
});

test('spans are cut at entries and joined where they touch', () => {
  const entry = { addr: 8n, lengthBytes: 8n, inParent: false, isElsewhere: false, isLazy: false, fileOffset: 0n };
  expect(
    overlaps(
      [
        { start: 0n, end: 10n },
        { start: 12n, end: 20n },
      ],
      [entry],
    ),
  ).toEqual([
    { start: 8n, end: 10n, entry },
    { start: 12n, end: 16n, entry },
  ]);
  expect(
    merge([
      { start: 0n, end: 2n },
      { start: 2n, end: 3n },
      { start: 5n, end: 6n },
    ]),
  ).toEqual([
    { start: 0n, end: 3n },
    { start: 5n, end: 6n },
  ]);
});
