// A kind of descriptor that crts refuses, carried by a plugin of plain JavaScript: docs/plugin-authors.md.
import { join } from 'node:path';
import { must } from '../harness/checkpointer';
import { cleanUp, Target } from '../harness/target';

afterEach(cleanUp);

const plugin = ['--plugin', join(__dirname, 'index.js')];

test('an event counter with the example plugin', async () => {
  const target = await Target.program('eventfd');
  expect(target.dump().stderr).toContain('[CRTS_FD_KIND]');
  must(target.dump(...plugin));
  await target.gone();
  expect(target.restore().stderr).toContain('[CRTS_IMAGE_PLUGIN]');
  must(target.restore(...plugin));
  await target.finish();
});
