// Memory that agent and engine read back side by side, in pieces: byte for byte, and what is said of images that are too short.
import { readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { crts, must } from '../harness/checkpointer';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

const start = (children: number) => () => Target.program('large-memory', [String(children)]);

flavours('fifty mebibytes in stretches of all kinds', { start: start(0) });
flavours('the same of eight processes', { start: start(7), only: ['plain', 'once', 'criu and back'] });

test('agent and engine share the work of large memory, and only of that', async () => {
  const target = await start(0)();
  must(target.dump());
  await target.gone();
  const plan = must(crts('restore', '-D', target.images, '--dry-run')).stdout;
  expect(plan.match(/pages_together/g)).toHaveLength(1);
  expect(plan).not.toContain('pages_from_file');
  must(target.restore());
  await target.finish();
  const small = await Target.program('state');
  must(small.dump());
  await small.gone();
  expect(must(crts('restore', '-D', small.images, '--dry-run')).stdout).not.toContain('pages_together');
  must(small.restore());
  await small.finish();
});

test.each([0, 4096, 30 * 1024 * 1024])('pages that end at %i are refused before anything is made', async (size) => {
  const target = await start(0)();
  must(target.dump());
  await target.gone();
  const pages = readdirSync(target.images).filter((name) => /^pages-\d+\.img$/.test(name));
  const path = join(target.images, pages[0]!);
  expect([pages.length, statSync(path).size > size]).toEqual([1, true]);
  truncateSync(path, size);
  const { status, stderr } = target.restore();
  expect(status).toBe(1);
  expect(stderr).toMatch(
    new RegExp(`the pages image has ${size} bytes, the pagemap needs \\d+ .*CRTS_IMAGE_REFERENCE`),
  );
});
