import { closeSync, openSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../harness/checkpointer';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('private, changed, shared, read-only, past the end', { start: () => Target.program('mapped-files', ['DIR']) });

flavours('files that were cut, grown and holed under their mappings', {
  start: () => Target.program('changed-files', ['DIR']),
});

test('others write to a mapped file after the dump: the program sees that, and has its own pages still', async () => {
  const target = await Target.program('changed-files', ['DIR']);
  must(target.dump());
  await target.gone();
  const file = openSync(join(target.directory, 'written'), 'r+');
  writeSync(file, 'what others write', 3 * 4096);
  closeSync(file);
  must(target.restore());
  await target.finish();
});

test('a mapped file that was cut after the dump: refused before anything is made', async () => {
  const target = await Target.program('changed-files', ['DIR']);
  must(target.dump());
  await target.gone();
  truncateSync(join(target.directory, 'written'), 4096);
  const { status, stderr } = target.restore();
  expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_FILE_CHANGED]')]);
  expect(target.alive()).toBe(false);
});
