import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

test('src/generated is what tools/generate.mjs makes of proto/', () => {
  const { status } = spawnSync(process.execPath, [join(__dirname, '../tools/generate.mjs'), '--check']);
  // Run `node packages/image-io/tools/generate.mjs` after a change in proto/.
  expect(status).toBe(0);
});
