import fc from 'fast-check';
import { hotBytes, hotRanges, subtract } from './hot-memory';

// One run is like the other: what a new seed finds belongs into a named test.
fc.configureGlobal({ seed: 20261126 });

const MIB = 1024n * 1024n;
const range = (start: bigint, lengthBytes: bigint) => ({ start, end: start + lengthBytes });
const vma = (start: bigint, lengthBytes: bigint) => ({ ...range(start, lengthBytes) }) as never;
const nowhere = { sp: 0n, ip: 0n, fs_base: 0n };

test('small mappings are read first, the smallest first, as many as fit', () => {
  const mappings = [
    vma(0x10_0000n, MIB),
    vma(0x1000_0000n, 8n * MIB),
    vma(0x2000_0000n, 3n * MIB),
    vma(0x3000_0000n, 2n * MIB),
  ];
  // Of the second hardly anything is stored.
  const lazy = [
    range(0x10_0000n, MIB),
    range(0x1000_0000n, 0x2000n),
    range(0x2000_0000n, 3n * MIB),
    range(0x3000_0000n, 2n * MIB),
  ];
  expect(hotRanges(lazy, mappings, [], 4n * MIB)).toEqual([
    range(0x10_0000n, MIB),
    range(0x1000_0000n, 0x2000n),
    range(0x3000_0000n, 2n * MIB),
  ]);
});

test('of a large mapping it is what the threads stand on', () => {
  const mappings = [vma(0x1000_0000n, 64n * MIB)];
  const lazy = [range(0x1000_0000n, 64n * MIB)];
  const threads = [
    { ...nowhere, sp: 0x1100_0fe8n },
    { sp: 0x1200_0010n, ip: 0x1300_5678n, fs_base: 0x1210_0740n },
  ];
  expect(hotRanges(lazy, mappings, threads, 4n * MIB)).toEqual([
    range(0x10ff_f000n, 0x8000n),
    range(0x11ff_f000n, 0x8000n),
    range(0x120f_f000n, 0x2000n),
    range(0x1300_3000n, 0x4000n),
  ]);
});

test('many tasks have a small part each', () => {
  expect([hotBytes(0), hotBytes(1), hotBytes(4), hotBytes(100_000)]).toEqual([4n * MIB, 4n * MIB, MIB, 65536n]);
});

const PAGE = 4096n;
const anyPages = fc.array(fc.boolean(), { minLength: 16, maxLength: 16 });
const rangesOf = (pages: readonly boolean[]) =>
  pages.flatMap((is, page) => (is ? [range(BigInt(page) * PAGE, PAGE)] : []));
const pagesOf = (ranges: readonly { start: bigint; end: bigint }[]) =>
  ranges.flatMap(({ start, end }) =>
    Array.from({ length: Number((end - start) / PAGE) }, (_, n) => Number(start / PAGE) + n),
  );

test('what is left is what the others have not', () => {
  fc.assert(
    fc.property(anyPages, anyPages, (pages, others) => {
      const left = Array.from(pages.keys()).filter((page) => pages[page] && !others[page]);
      expect(pagesOf(subtract(rangesOf(pages), rangesOf(others)))).toEqual(left);
    }),
  );
});
