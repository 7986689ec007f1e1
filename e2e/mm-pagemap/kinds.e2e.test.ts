// Byte for byte: every kind of memory at once, in a program and its child, after many dumps and restores.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';

const CYCLES = 20;
const files = mkdtempSync(join(tmpdir(), 'crts-kinds-'));
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
