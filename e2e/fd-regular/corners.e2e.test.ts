// Where a name alone does not bring a file back.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Places } from '../harness/places';
import { Target } from '../harness/target';

test.each(['chroot', 'dropped', 'limit', 'nested', 'again'])('%s', async (kind) => {
  const target = await Target.program('file-corners', ['DIR', kind]);
  for (let round = 0; round < 2; round++) await target.cycle();
  await target.finish();
});

test('overlayfs: files below, copied up, removed', async () => {
  using places = new Places();
  const { directory } = places;
  places.make('lower', 'upper', 'work');
  for (const name of ['a', 'b', 'c', 'd']) writeFileSync(join(directory, 'lower', name), `lower ${name}`);
  places.mount(
    '-t',
    'overlay',
    'overlay',
    '-o',
    `lowerdir=${directory}/lower,upperdir=${directory}/upper,workdir=${directory}/work`,
  );
  const target = await Target.program('file-corners', [directory, 'overlay']);
  for (let round = 0; round < 2; round++) await target.cycle();
  await target.finish();
});

test.each([
  ['covered', 'CRTS_FILE_REPLACED'],
  ['detached', 'CRTS_FILE_UNREACHABLE'],
  ['nameless', 'CRTS_FILE_UNREACHABLE'],
])('a file of a mount that is %s is refused', async (kind, code) => {
  const target = await Target.program('file-corners', ['DIR', kind]);
  const { status, stderr } = target.dump();
  expect([status, stderr]).toEqual([1, expect.stringContaining(`[${code}]`)]);
  expect(stderr).toContain('--external file[MNT:INODE]');
  await target.finish();
});

test.each(['immutable', 'append-only'])('a file that is %s since it was opened is refused', async (kind) => {
  const target = await Target.program('file-corners', ['DIR', kind]);
  const { status, stderr } = target.dump();
  expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_FILE_PROTECTED]')]);
  expect(stderr).toContain('chattr -');
  await target.finish();
});
