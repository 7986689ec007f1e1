import fc from 'fast-check';
import { partsOf } from './write';

const MIB = 1024n * 1024n;
const PAGE = 4096n;

test('where nobody watches a program has as many runs as it can', () => {
  const runs = Array.from({ length: 20_001 }, (_, index) => ({
    addr: BigInt(2 * index) * PAGE,
    lengthBytes: PAGE,
    fileOffset: BigInt(index) * PAGE,
  }));
  expect(partsOf(runs, undefined).map((part) => part.length)).toEqual([10_000, 10_000, 1]);
  expect(partsOf(runs, undefined).flat()).toEqual(runs);
  expect(partsOf([], undefined)).toEqual([]);
});

test('where somebody watches none takes longer than a moment', () => {
  const run = { addr: 0x10_0000n, lengthBytes: 5n * MIB, fileOffset: 7n * PAGE };
  const other = { addr: 0x1000_0000n, lengthBytes: MIB, fileOffset: 7n * PAGE + 5n * MIB };
  expect(partsOf([run, other], 4n * MIB)).toEqual([
    [{ ...run, lengthBytes: 4n * MIB }],
    [{ addr: run.addr + 4n * MIB, lengthBytes: MIB, fileOffset: run.fileOffset + 4n * MIB }, other],
  ]);
});

test('whatever the runs are, each byte is written once, to its place', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 40 }),
      fc.integer({ min: 1, max: 20 }),
      (sizes, most) => {
        let page = 0n;
        const runs = sizes.map((size, index) => {
          const run = {
            addr: (page + BigInt(index)) * PAGE,
            lengthBytes: BigInt(size) * PAGE,
            fileOffset: page * PAGE,
          };
          page += BigInt(size);
          return run;
        });
        const limit = BigInt(most) * PAGE;
        const parts = partsOf(runs, limit);
        for (const part of parts) {
          const bytes = part.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0n);
          expect(bytes > 0n && bytes <= limit).toBe(true);
        }
        const pagesOf = (all: typeof runs) =>
          all.flatMap(({ addr, lengthBytes, fileOffset }) =>
            Array.from({ length: Number(lengthBytes / PAGE) }, (_, n) => [
              addr + BigInt(n) * PAGE,
              fileOffset + BigInt(n) * PAGE,
            ]),
          );
        expect(pagesOf(parts.flat())).toEqual(pagesOf(runs));
      },
    ),
    { seed: 20261126 },
  );
});
