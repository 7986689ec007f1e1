// Byte for byte: every kind of memory at once, in a program and its child, after many dumps and restores.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crts, must } from '../harness/checkpointer';
import { canHave, useHugePages } from '../harness/huge-pages';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const CYCLES = 20;
const files = mkdtempSync(join(tmpdir(), 'crts-kinds-'));
/** Huge pages are among the kinds where the machine has some. */
if (canHave(2048, 8)) useHugePages(2048, 8);
afterAll(() => rmSync(files, { recursive: true, force: true }));

test(`every kind of memory, after ${CYCLES} cycles`, async () => {
  const directory = join(files, 'seeded');
  mkdirSync(directory);
  const target = await Target.program('kinds', [directory, '20261126']);
  const { mappings } = snapshot(target.pid);
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    await target.cycle();
    target.clearImages();
  }
  expect(snapshot(target.pid).mappings).toEqual(mappings);
  await target.finish();
}, 900_000);

const SETS = 5;

test(`every kind of memory, changed between ${SETS} sets that build on each other, three times over`, async () => {
  const directory = join(files, 'chains');
  mkdirSync(directory);
  const target = await Target.program('kinds', [directory, '5']);
  let generation = 0;
  for (let chain = 0; chain < 3; chain++) {
    const sets = join(target.directory, `chain-${chain}`);
    mkdirSync(sets);
    for (let number = 0; number < SETS; number++) {
      mkdirSync(join(sets, `${number}`));
      const last = number === SETS - 1;
      const parent = number === 0 ? [] : ['--prev-images-dir', `../${number - 1}`];
      const options = ['-t', `${target.pid}`, '-D', join(sets, `${number}`), '-o', 'log', '-v4', ...parent];
      must(last ? target.dump(...options) : crts('pre-dump', '--track-mem', ...options));
      if (last) break;
      generation += 1;
      writeFileSync(join(directory, `next-${generation}`), '');
      await until('the memory to be filled anew', () => target.text().includes(`filled ${generation}\n`));
    }
    await target.gone();
    must(crts('restore', '-d', '-D', join(sets, `${SETS - 1}`), '-o', 'restore.log', '-v4'));
    target.adoptRestored();
  }
  await target.finish();
}, 300_000);
