import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../harness/checkpointer';
import { flavours } from '../harness/flavours';
import { testNeeding } from '../harness/needs';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const CHILDREN = 8;

const start = (megabytes: number) => () =>
  Target.program('copy-on-write', ['DIR/file', String(megabytes), String(CHILDREN)]);

flavours('a parent, children and a grandchild that share pages', { start: start(16) });

interface Sizes {
  readonly pid: number;
  /** Kilobytes of the area; pages of others are counted in the share that a process has of them. */
  readonly rss: number;
  readonly pss: number;
  readonly shared: number;
}

function family(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  return [pid, ...children.flatMap((child) => family(Number(child)))];
}

/** Of the mappings in the area that the program names, in every process. */
function sizes(target: Target): Sizes[] {
  const [, from, to] = /^area (\w+) (\w+)$/m.exec(target.text())!.map((text) => Number.parseInt(text, 16));
  return family(target.pid).map((pid) => {
    const found = { pid, rss: 0, pss: 0, shared: 0 };
    for (const block of readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/)) {
      const at = Number.parseInt(block, 16);
      if (at < from! || at >= to!) continue;
      const field = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(block)![1]);
      found.rss += field('Rss');
      found.pss += field('Pss');
      found.shared += field('Shared_Dirty') + field('Shared_Clean');
    }
    return found;
  });
}

const sum = (all: readonly Sizes[], of: (one: Sizes) => number) => all.reduce((total, one) => total + of(one), 0);

/**
 * Process by process, what was shared is shared. Pages that the parent wrote after the forks are lost to this: children still had
 * the old ones in common, now each has its own.
 */
function expectShared(after: readonly Sizes[], before: readonly Sizes[]): void {
  expect(after.map(({ pid }) => pid)).toEqual(before.map(({ pid }) => pid));
  for (const [index, { pid, rss, shared }] of after.entries()) {
    const was = before[index]!;
    expect([pid, rss, shared >= was.shared * 0.97]).toEqual([pid, was.rss, true]);
  }
  const memory = (all: readonly Sizes[]) => sum(all, ({ pss }) => pss);
  expect(memory(after)).toBeLessThan(memory(before) * 1.12);
}

test('256 MiB that eight children share take no more memory afterwards, twice over', async () => {
  const target = await start(256)();
  const before = sizes(target);
  // The parent has 90 of 100 pages, and each child touched one.
  expect(sum(before, ({ pss }) => pss)).toBeLessThan(320 * 1024);
  for (let round = 0; round < 2; round++) {
    await target.cycle();
    expectShared(sizes(target), before);
  }
  await target.finish();
});

test('also of a lazy restore', async () => {
  const target = await start(64)();
  const before = sizes(target);
  must(target.dump());
  await target.gone();
  must(target.restore('--lazy-pages'));
  const log = join(target.images, 'lazy-pages.log');
  await until(
    'all memory to be there',
    () => existsSync(log) && readFileSync(log, 'utf8').includes('all memory is in place'),
  );
  expectShared(sizes(target), before);
  await target.finish();
});

const withCriu = testNeeding(['CRTS_CRIU']);

withCriu('images of CRIU are shared again, and CRIU shares what crts dumped', async () => {
  const target = await start(64)();
  const before = sizes(target);
  must(target.dumpWithCriu());
  await target.gone();
  must(target.restore());
  expectShared(sizes(target), before);
  target.clearImages();
  must(target.dump());
  await target.gone();
  must(target.restoreWithCriu());
  const byCriu = sizes(target);
  // It compares mappings that begin and end at the same place: where a child changed a part of one, it shares nothing.
  expect(sum(byCriu, ({ shared }) => shared)).toBeGreaterThan(sum(before, ({ shared }) => shared) * 0.4);
  await target.finish();
});
