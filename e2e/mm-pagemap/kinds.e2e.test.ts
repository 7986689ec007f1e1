// Byte for byte: every kind of memory at once, in a program and its child, after many dumps and restores.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crts, must } from '../harness/checkpointer';
import { canHave, useHugePages } from '../harness/huge-pages';
import { testNeeding } from '../harness/needs';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const CYCLES = 20;
const SETS = 5;
const files = mkdtempSync(join(tmpdir(), 'crts-kinds-'));
/** Huge pages are among the kinds where the machine has some. */
if (canHave(2048, 8)) useHugePages(2048, 8);
afterAll(() => rmSync(files, { recursive: true, force: true }));

function start(program: string, seed: number): Promise<Target> {
  return Target.program(program, [mkdtempSync(join(files, 'files-')), `${seed}`]);
}

interface Chain {
  readonly needs?: readonly string[];
  /** All sets are of complete dumps that leave the program running. */
  readonly isOfDumps?: boolean;
  /** Of each set: those that differ come in turn. */
  readonly options?: readonly (readonly string[])[];
  readonly restore?: readonly string[];
}

/** Sets of a program that fills its memory anew between them, and a restore of the last. */
async function chain(target: Target, name: string, { isOfDumps, options = [[]], restore = [] }: Chain): Promise<void> {
  const directory = target.proc('cmdline').split('\0')[2]!;
  const sets = join(target.directory, name);
  mkdirSync(sets);
  for (let number = 0; number < SETS; number++) {
    const set = join(sets, `${number}`);
    mkdirSync(set);
    const parent = number === 0 ? [] : ['--prev-images-dir', `../${number - 1}`];
    const own = options[number % options.length]!;
    const args = ['-t', `${target.pid}`, '-D', set, '-o', 'log', '-v4', ...parent, ...own];
    if (number === SETS - 1) {
      must(target.dump(...args));
      break;
    }
    must(crts(...(isOfDumps === true ? ['dump', '-R'] : ['pre-dump']), '--track-mem', ...args));
    const generation = (target.text().match(/^filled/gm)?.length ?? 0) + 1;
    writeFileSync(join(directory, `next-${generation}`), '');
    await until('the memory to be filled anew', () => target.text().includes(`filled ${generation}\n`));
  }
  await target.gone();
  must(crts('restore', '-d', '-D', join(sets, `${SETS - 1}`), '-o', 'restore.log', '-v4', ...restore));
  target.adoptRestored();
}

describe.each(['kinds', 'rare-kinds'])('every kind of memory, %s', (program) => {
  test(`after ${CYCLES} cycles`, async () => {
    const target = await start(program, 20261126);
    const { mappings } = snapshot(target.pid);
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      await target.cycle();
      target.clearImages();
    }
    expect(snapshot(target.pid).mappings).toEqual(mappings);
    await target.finish();
  }, 900_000);

  test(`changed between ${SETS} sets that build on each other, three times over`, async () => {
    const target = await start(program, 5);
    for (let number = 0; number < 3; number++) await chain(target, `chain-${number}`, {});
    await target.finish();
  }, 300_000);

  const chains: [string, Chain][] = [
    ['dumps that leave the program running', { isOfDumps: true }],
    ['pages that are stored once', { options: [['--auto-dedup']] }],
    ['a restore that deduplicates', { restore: ['--auto-dedup'] }],
    [
      'compressed, or not, in turn',
      { needs: ['zstd', 'lz4'], options: [['--compress', 'zstd'], ['--compress', 'lz4'], []] },
    ],
    ['pages that processes share', { isOfDumps: true, options: [['--share-pages']] }],
    ['checksums', { options: [['--checksum']], restore: ['--verify'] }],
    ['a lazy restore', { restore: ['--lazy-pages'] }],
    [
      'a lazy restore of what is compressed',
      { needs: ['zstd'], options: [['--compress', 'zstd']], restore: ['--lazy-pages'] },
    ],
  ];
  for (const [name, options] of chains)
    testNeeding(options.needs ?? [])(
      `a chain of ${SETS} sets: ${name}`,
      async () => {
        const target = await start(program, 6);
        await chain(target, 'chain', options);
        await target.finish();
      },
      120_000,
    );
});
