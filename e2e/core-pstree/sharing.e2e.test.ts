// Processes that share descriptors, directories, signal actions and memory by clone(2): each looks for what the others change (e2e/programs/sharing.c).
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { crts, must } from '../harness/checkpointer';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

const grown = (...steps: string[]) => Target.program('sharing', ['DIR', ...steps]);

flavours('descriptors, shared by a family', {
  start: () => grown('clone 0 1 files', 'clone 1 2 files', 'clone 0 3 files', 'clone 3 4 none'),
});

flavours('locks of processes with one table', {
  options: ['--file-locks'],
  only: ['plain', 'once', 'repeated'],
  notWithCriu: 'CRIU 4.2 lets another process with the table take some of them: seen in /proc/locks',
  start: () => grown('clone 0 1 files', 'clone 0 2 none', 'lock 0', 'lock 1', 'lock 2', 'clone 1 3 files', 'lock 3'),
});

flavours('directories', {
  notWithCriu: 'CRIU 4.2 refuses them: "Can\'t make FS id"',
  start: () => grown('clone 0 1 fs', 'clone 1 2 fs', 'clone 1 3 none', 'clone 3 4 fs'),
});

flavours('memory, with and without signal actions', {
  notWithCriu: 'CRIU 4.2 refuses it: "Can\'t make VM id"',
  start: () => grown('clone 0 1 vm', 'clone 1 2 vm,sighand', 'clone 0 3 vm,sighand', 'clone 3 4 none'),
});

flavours('everything, in a tree that mixes it', {
  notWithCriu: 'CRIU 4.2 refuses it',
  start: () =>
    grown(
      'clone 0 1 files',
      'clone 0 2 fs',
      'clone 1 3 files,fs',
      'clone 0 4 vm,sighand',
      'clone 4 5 vm,files,fs,sighand',
      'sibling 1 6 files',
      'clone 0 8 none',
      'sibling 8 9 files,fs',
      'setsid 5',
      'clone 5 10 fs',
      'sibling 5 11 vm,sighand',
    ),
});

const SHAPES: Record<string, string[]> = {
  'siblings that share what their parent does not': [
    'clone 0 1 none',
    'sibling 1 2 files,fs',
    'sibling 2 3 files',
    'clone 0 4 vm',
    'sibling 4 5 vm,sighand',
  ],
  'an orphan that shares with who adopted it': ['clone 0 1 files,vm', 'clone 1 2 files,vm', 'exit 1'],
  'one that has copies of its own since': ['clone 0 1 files,fs', 'unshare 1 files', 'clone 1 2 files'],
  'leaders of sessions': ['clone 0 1 files,fs', 'setsid 1', 'clone 1 2 vm,sighand', 'setsid 2', 'clone 2 3 files'],
};

for (const [title, steps] of Object.entries(SHAPES))
  test(title, async () => {
    const target = await grown(...steps);
    await target.cycle();
    target.clearImages();
    await target.cycle();
    await target.finish();
  });

test('memory that processes share, in increments', async () => {
  const target = await grown('clone 0 1 vm,sighand', 'clone 1 2 vm,files', 'clone 0 3 none');
  const first = join(target.directory, 'first');
  mkdirSync(first);
  must(crts('pre-dump', '-t', String(target.pid), '-D', first, '--track-mem'));
  expect(readdirSync(first).filter((name) => name.startsWith('pagemap-'))).toHaveLength(2);
  must(target.dump('--prev-images-dir', '../first'));
  await target.gone();
  must(target.restore());
  await target.finish();
});

test.each(['files', 'fs', 'vm'])('a process that shares its %s with its parent, which is not dumped', async (kind) => {
  const target = await grown(`clone 0 1 ${kind}`);
  const child = target.proc(`task/${target.pid}/children`).trim();
  const { status, stderr } = crts('dump', '-t', child, '-D', target.images, '--shell-job');
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_SHARED]');
  expect(stderr).toMatch(new RegExp(`pid ${child}: .* with process ${target.pid}, which is not part of the dump`));
  await target.finish();
});

test('what no clone(2) can make again is refused before anything is touched', async () => {
  const target = await grown('clone 0 1 fs', 'clone 1 2 fs', 'unshare 1 fs');
  const { status, stderr } = target.dump();
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_SHARED]');
  expect(stderr).toMatch(/shares its directories \(CLONE_FS\) with process \d+, and no order of clone\(2\)/);
  await target.finish();
});
