import type { StoredRun } from '@crts/plugin-api';
import fc from 'fast-check';
import { compare } from './private-memory';

// One run is like the other: what a new seed finds belongs into a named test.
fc.configureGlobal({ seed: 20261126 });

const PAGE = 4096n;
const PAGES = 24;

/** Runs of the pages that are `true`; a run ends too where `cuts` says. */
function runsOf(stored: readonly boolean[], cuts: readonly boolean[]): StoredRun[] {
  const runs: StoredRun[] = [];
  let fileOffset = 0n;
  stored.forEach((is, page) => {
    if (!is) return;
    const addr = BigInt(page) * PAGE;
    const last = runs.at(-1);
    if (last !== undefined && last.addr + last.lengthBytes === addr && !cuts[page])
      runs[runs.length - 1] = { ...last, lengthBytes: last.lengthBytes + PAGE };
    else runs.push({ addr, lengthBytes: PAGE, fileOffset, file: page % 3 });
    fileOffset += PAGE;
  });
  return runs;
}

const pagesOf = (runs: readonly { addr: bigint; lengthBytes: bigint }[]) =>
  runs.flatMap(({ addr, lengthBytes }) =>
    Array.from({ length: Number(lengthBytes / PAGE) }, (_, page) => Number(addr / PAGE) + page),
  );

const anyPages = fc.array(fc.boolean(), { minLength: PAGES, maxLength: PAGES });

test('each page is in both, in one alone, or in none, and comes from its place in the file', () => {
  fc.assert(
    fc.property(anyPages, anyPages, anyPages, anyPages, (own, parent, cuts, otherCuts) => {
      const runs = runsOf(own, cuts);
      const { both, mine, others } = compare(runs, runsOf(parent, otherCuts));
      const numbers = Array.from({ length: PAGES }, (_, page) => page);
      expect(pagesOf(both)).toEqual(numbers.filter((page) => own[page] && parent[page]));
      expect(pagesOf(mine)).toEqual(numbers.filter((page) => own[page] && !parent[page]));
      expect(pagesOf(others)).toEqual(numbers.filter((page) => !own[page] && parent[page]));
      for (const { addr, fileOffset, file } of [...both, ...mine]) {
        const home = runs.find((run) => run.addr <= addr && addr < run.addr + run.lengthBytes)!;
        expect([fileOffset - home.fileOffset, file]).toEqual([addr - home.addr, home.file]);
      }
    }),
  );
});

test('nothing in either is nothing to do', () => {
  expect(compare([], [])).toEqual({ both: [], mine: [], others: [] });
});
