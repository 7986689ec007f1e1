import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('an address space with hardly any room', {
  start: () => Target.program('mappings', ['crowded']),
  notWithCriu: 'CRIU finds no place for its restorer',
});

flavours('stacks that grow on, one of them to its limit', { start: () => Target.program('mappings', ['stacks']) });

flavours('code that the program wrote', { start: () => Target.program('mappings', ['generated']) });

flavours('memory protection keys', {
  start: () => Target.program('mappings', ['keys']),
  notWithCriu: 'CRIU loses the keys of mappings',
});

flavours('what madvise and mlock leave on a mapping', { start: () => Target.program('mappings', ['flags']) });

flavours('sealed and droppable memory, memory locked when touched or as it is mapped', {
  start: () => Target.program('mappings', ['states']),
  notWithCriu: 'CRIU knows none of them',
});

flavours('droppable memory', { start: () => Target.program('mappings', ['droppable']) });

flavours('memory that is locked when it is touched, whenever it is mapped', {
  start: () => Target.program('mappings', ['touched']),
  notWithCriu: 'CRIU does not know it',
});

/** `prefer:0`, `interleave=static:0`, by the order of mappings: smaps does not tell, numa_maps does. */
const policies = (target: Target) =>
  target
    .proc('numa_maps')
    .split('\n')
    .map((line) => line.split(' ')[1])
    .filter((policy) => policy !== undefined && policy !== 'default');

test('NUMA policies of mappings, as numa_maps shows them', async () => {
  const target = await Target.program('mappings', ['numa']);
  const before = policies(target);
  await target.cycle();
  expect(policies(target)).toEqual(before);
  await target.finish();
});

flavours('NUMA policies of mappings', {
  start: () => Target.program('mappings', ['numa']),
  notWithCriu: 'CRIU does not know them',
});

test('64 TiB that hold next to nothing: images of a few pages', async () => {
  const target = await Target.program('mappings', ['vast']);
  await target.cycle();
  const stored = readdirSync(target.images).filter((name) => /^pages-\d+\.img$/.test(name));
  const size = stored.reduce((sum, name) => sum + statSync(join(target.images, name)).size, 0);
  expect(size).toBeLessThan(1 << 20);
  await target.finish();
});
