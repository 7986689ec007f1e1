// Image sets that build on each other: what was not written since the parent set stays there, and nothing wrong ever comes back.
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ImageReader } from '@crts/image-io';
import { crts, must, repository } from '../harness/checkpointer';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const MEBIBYTES = 64;
/** PE_PARENT and PE_PRESENT of the format. */
const IN_PARENT = 1;
const PRESENT = 4;

/** The n-th set of a chain; each is meant from the one before by `../N`. */
function set(target: Target, number: number): string {
  const directory = join(target.directory, `set-${number}`);
  mkdirSync(directory);
  return directory;
}

function make(target: Target, action: 'pre-dump' | 'dump', directory: string, ...options: string[]) {
  return crts(action, '-t', String(target.pid), '-D', directory, '-o', `${action}.log`, '-v4', ...options);
}

/** Pages of a set by where they are: in it, or left in its parent. */
function pages(target: Target, directory: string): { own: bigint; inParent: bigint } {
  const reader = ImageReader.open(directory);
  try {
    const [, ...entries] = reader.read('pagemap', target.pid) as unknown as { flags: number; nr_pages: bigint }[];
    const count = (flag: number) =>
      entries.reduce((sum, { flags, nr_pages }) => sum + ((flags & flag) !== 0 ? nr_pages : 0n), 0n);
    return { own: count(PRESENT), inParent: count(IN_PARENT) };
  } finally {
    reader.close();
  }
}

function restoreFrom(target: Target, directory: string): void {
  must(crts('restore', '-d', '-D', directory, '-o', 'restore.log', '-v4'));
  target.adoptRestored();
}

/** Pids of processes that hold the tracking of this target. */
function holders(target: Target): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'crts-track') return false;
      return readdirSync(`/proc/${pid}/fdinfo`).some((fd) =>
        new RegExp(`^Pid:\\t${target.pid}$`, 'm').test(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8')),
      );
    } catch {
      return false;
    }
  });
}

async function start(): Promise<Target> {
  return Target.program('increments', [String(MEBIBYTES)]);
}

test('a chain of pre-dumps and a dump: sets are small, the program finds all as it was', async () => {
  const target = await start();
  const sets = [set(target, 0)];
  must(make(target, 'pre-dump', sets[0]!, '--track-mem'));
  for (let number = 1; number < 4; number++) {
    sets.push(set(target, number));
    must(make(target, 'pre-dump', sets[number]!, '--track-mem', '--prev-images-dir', `../set-${number - 1}`));
  }
  expect(holders(target)).toHaveLength(1);
  sets.push(set(target, 4));
  must(make(target, 'dump', sets[4]!, '--prev-images-dir', '../set-3'));
  await target.gone();
  expect(holders(target)).toEqual([]);
  expect(pages(target, sets[0]!).inParent).toBe(0n);
  for (const one of sets.slice(1)) {
    const { own, inParent } = pages(target, one);
    expect(own).toBeGreaterThan(0n);
    expect(inParent).toBeGreaterThan(0n);
  }
  restoreFrom(target, sets[4]!);
  await target.finish();
});

test('five dumps that leave the program running, each on the one before; the last is restored', async () => {
  const target = await start();
  const sets = [set(target, 0)];
  must(make(target, 'dump', sets[0]!, '-R', '--track-mem'));
  for (let number = 1; number < 5; number++) {
    sets.push(set(target, number));
    must(make(target, 'dump', sets[number]!, '-R', '--track-mem', '--prev-images-dir', `../set-${number - 1}`));
  }
  for (const one of sets.slice(1)) expect(pages(target, one).inParent).toBeGreaterThan(0n);
  sets.push(set(target, 5));
  must(make(target, 'dump', sets[5]!, '--prev-images-dir', '../set-4'));
  await target.gone();
  restoreFrom(target, sets[5]!);
  await target.finish();
});

test('nobody tracks any more: everything is stored again, and that is said', async () => {
  const target = await start();
  const first = set(target, 0);
  must(make(target, 'pre-dump', first, '--track-mem'));
  for (const pid of holders(target)) process.kill(Number(pid), 'SIGKILL');
  const second = set(target, 1);
  must(make(target, 'dump', second, '--prev-images-dir', '../set-0'));
  await target.gone();
  expect(pages(target, second).inParent).toBe(0n);
  expect(readFileSync(join(second, 'dump.log'), 'utf8')).toContain('all memory is stored');
  restoreFrom(target, second);
  await target.finish();
});

test('a set that another one was built on is no parent for a second: the tracking went with the first', async () => {
  const target = await start();
  const first = set(target, 0);
  must(make(target, 'pre-dump', first, '--track-mem'));
  must(make(target, 'pre-dump', set(target, 1), '--track-mem', '--prev-images-dir', '../set-0'));
  const third = set(target, 2);
  must(make(target, 'dump', third, '--prev-images-dir', '../set-0'));
  await target.gone();
  expect(pages(target, third).inParent).toBe(0n);
  restoreFrom(target, third);
  await target.finish();
});

test('a tree that is tracked for a set is dumped without that set', async () => {
  const target = await Target.program('process-tree', ['DIR/table', 'fork 0 1', 'fork 1 2', 'fork 0 3']);
  must(make(target, 'pre-dump', set(target, 1), '--track-mem'));
  await target.cycle();
  await target.finish();
});

test('a pre-dump is no set to restore; a parent that is not there is refused before anything is touched', async () => {
  const target = await start();
  const first = set(target, 0);
  must(make(target, 'pre-dump', first));
  expect(crts('restore', '-D', first).stderr).toContain('[CRTS_PRE_DUMP]');
  const { status, stderr } = make(target, 'dump', set(target, 1), '--prev-images-dir', '../nowhere');
  expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_PARENT_SET]')]);
  await target.finish();
});

test('crts is killed at any moment of a pre-dump: the program goes on, and what is dumped then is right', async () => {
  const target = await start();
  must(make(target, 'pre-dump', set(target, 0), '--track-mem'));
  for (let kill = 1; kill <= 20; kill++) {
    const options = ['--track-mem', '--prev-images-dir', '../set-0', '-D', set(target, kill)];
    const child = spawn(join(repository, 'packages/cli/bin/crts.js'), [
      'pre-dump',
      '-t',
      String(target.pid),
      ...options,
    ]);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await new Promise((resolve) => setTimeout(resolve, 30 + 7 * kill));
    child.kill('SIGKILL');
    await ended;
    expect(target.alive()).toBe(true);
  }
  const last = set(target, 21);
  must(make(target, 'dump', last, '--prev-images-dir', '../set-0'));
  await target.gone();
  restoreFrom(target, last);
  await target.finish();
});

test('a mapping whose watch the kernel has dropped behind our back is stored again, and watched anew', async () => {
  const target = await Target.program('moved-neighbour');
  const sets = [0, 1, 2].map((number) => set(target, number));
  must(make(target, 'pre-dump', sets[0]!, '--track-mem'));
  writeFileSync(`${target.go}-1`, '');
  await until('the mapping to be moved', () => target.text().includes('moved'));
  must(make(target, 'pre-dump', sets[1]!, '--track-mem', '--prev-images-dir', '../set-0'));
  writeFileSync(`${target.go}-2`, '');
  await until('the pages to be written', () => target.text().includes('written'));
  must(make(target, 'dump', sets[2]!, '--prev-images-dir', '../set-1'));
  await target.gone();
  restoreFrom(target, sets[2]!);
  await target.finish();
});

test('a stack in no use grows for the agent, beside its part that is watched: again and again', async () => {
  const target = await Target.program('thread-fork', [], { flags: ['-pthread'] });
  const sets = [0, 1, 2].map((number) => set(target, number));
  must(make(target, 'pre-dump', sets[0]!, '--track-mem'));
  must(make(target, 'pre-dump', sets[1]!, '--track-mem', '--prev-images-dir', '../set-0'));
  must(make(target, 'pre-dump', sets[2]!, '--track-mem', '--prev-images-dir', '../set-1'));
  must(target.dump('--prev-images-dir', '../set-2'));
  await target.gone();
  must(target.restore());
  await target.finish();
});
