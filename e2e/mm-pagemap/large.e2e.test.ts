// Memory that agent and engine store and read back side by side, in pieces: byte for byte, and what is said of images that are too short.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { crts, crtsBinary, must, type Outcome } from '../harness/checkpointer';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

/** Of a program that has run in between. */
const STACK_PAGES = 4;

function differing(one: Buffer, other: Buffer): number {
  let pages = 0;
  for (let at = 0; at < one.length; at += 4096)
    if (!one.subarray(at, at + 4096).equals(other.subarray(at, at + 4096))) pages += 1;
  return pages;
}

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

test('what both have stored is as long as the pagemap says, in no more blocks, and the same as one alone stores', async () => {
  const target = await start(0)();
  const [both, alone] = ['both', 'alone'].map((name) => join(target.images, name)) as [string, string];
  const dump = (images: string, run: (...args: string[]) => Outcome) => {
    mkdirSync(images);
    must(run('dump', '-t', String(target.pid), '-D', images, '--leave-running'));
    const [pages] = readdirSync(images).filter((name) => /^pages-\d+\.img$/.test(name));
    return join(images, pages!);
  };
  const first = dump(both, crts);
  // On one CPU the engine only waits.
  const second = dump(alone, (...args) => spawnSync('taskset', ['1', crtsBinary, ...args], { encoding: 'utf8' }));
  const { size, blocks } = statSync(first);
  expect(size).toBeGreaterThan(40 * 1024 * 1024);
  expect(blocks * 512).toBeLessThan(size + 64 * 1024);
  expect(statSync(second).size).toBe(size);
  expect(differing(readFileSync(first), readFileSync(second))).toBeLessThanOrEqual(STACK_PAGES);
  await target.finish();
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
