// Chains of sets of a program that changes its memory between them in every way there is: never a wrong page.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { criu, crts, must } from '../harness/checkpointer';
import { canHave, useHugePages } from '../harness/huge-pages';
import { testNeeding } from '../harness/needs';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const SETS = 5;
/** Of two processes, and those that are between two programs of execve(2). */
const HUGE_PAGES = 16;
if (canHave(2048, HUGE_PAGES)) useHugePages(2048, HUGE_PAGES);

interface Chain {
  /** All sets are of complete dumps that leave the program running. */
  readonly isOfDumps?: boolean;
  readonly options?: readonly string[];
  readonly restore?: readonly string[];
  /** The program calls execve(2) at this change. */
  readonly exec?: number;
  /** Each set is deduplicated by hand. */
  readonly dedup?: boolean;
  readonly restorer?: typeof criu;
}

async function prove({ isOfDumps, options = [], restore = [], exec, dedup, restorer = crts }: Chain): Promise<void> {
  const target = await Target.program('changes', ['DIR', ...(exec === undefined ? [] : [`${exec}`])]);
  const set = (number: number) => join(target.directory, `set-${number}`);
  for (let number = 0; number < SETS; number++) {
    mkdirSync(set(number));
    const isLast = number === SETS - 1;
    const parent = number === 0 ? [] : ['--prev-images-dir', `../set-${number - 1}`];
    const args = ['-t', `${target.pid}`, '-D', set(number), '-o', 'log', '-v4', ...parent, ...options];
    if (isLast) must(target.dump(...args));
    else must(crts(...(isOfDumps === true ? ['dump', '-R'] : ['pre-dump']), '--track-mem', ...args));
    if (dedup === true && number > 0) must(crts('dedup', '-D', set(number)));
    if (isLast) break;
    writeFileSync(join(target.directory, `next-${number + 1}`), '');
    await until('the memory to change', () => target.text().includes(`changed ${number + 1}\n`));
  }
  await target.gone();
  must(restorer('restore', '-d', '-D', set(SETS - 1), '-o', 'restore.log', '-v4', ...restore));
  target.adoptRestored();
  await target.finish();
}

test.each<[string, Chain]>([
  ['pre-dumps', {}],
  ['dumps that leave the program running', { isOfDumps: true }],
  ['a program that begins anew by execve(2) in between', { exec: 2 }],
  ['pages that are stored once', { options: ['--auto-dedup'] }],
  ['pages that are stored once, of dumps', { isOfDumps: true, options: ['--auto-dedup'] }],
  ['sets that are deduplicated one by one', { dedup: true }],
  ['a restore that deduplicates', { restore: ['--auto-dedup'] }],
  ['checksums', { options: ['--checksum'], restore: ['--verify'] }],
  ['pages that processes share', { isOfDumps: true, options: ['--share-pages'] }],
  ['a lazy restore', { restore: ['--lazy-pages'] }],
])('five sets: %s', async (_, chain) => prove(chain), 120_000);

// A child is born between two sets, and there are huge TLB pages, where the machine has some.
const forCriu: [string, Chain][] = [
  ['pre-dumps', {}],
  ['dumps that leave the program running', { isOfDumps: true }],
  ['pages that are stored once', { options: ['--auto-dedup'] }],
];
for (const [name, chain] of forCriu)
  testNeeding(['CRTS_CRIU'])(
    `five sets that criu restores: ${name}`,
    () => prove({ ...chain, restorer: criu }),
    120_000,
  );
