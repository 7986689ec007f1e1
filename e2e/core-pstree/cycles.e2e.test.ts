import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { must, repository } from '../harness/checkpointer';
import { compile } from '../harness/compile';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';
import { until } from '../harness/until';

/** Children of this process, the subreaper of all that the tests start: a process that crts forgot would be one. */
function children(): string[] {
  return readFileSync('/proc/thread-self/children', 'utf8').trim().split(' ').sort();
}

function leftInTmp(): string[] {
  return readdirSync('/tmp')
    .filter((name) => name.startsWith('crts') && !/^crts-(e2e|bench|test|struct|demo|pages)-/.test(name))
    .sort();
}

test('100 cycles of one process: it never notices and nothing is left behind', async () => {
  const target = await Target.program('busy', ['float']);
  const before = snapshot(target.pid);
  const temporary = leftInTmp();
  const running = children();
  for (let cycle = 0; cycle < 100; cycle++) {
    rmSync(target.images, { recursive: true });
    mkdirSync(target.images);
    await target.cycle();
  }
  expect(snapshot(target.pid)).toEqual(before);
  expect(leftInTmp()).toEqual(temporary);
  expect(children()).toEqual(running);
  await target.finish();
}, 900_000);

test('30 dumps of a process that is left running', async () => {
  const target = await Target.program('busy', ['integer']);
  const before = snapshot(target.pid);
  for (let cycle = 0; cycle < 30; cycle++) must(target.dump('--leave-running'));
  expect(snapshot(target.pid)).toEqual(before);
  await target.finish();
}, 600_000);

test('a process left stopped, and continued', async () => {
  const target = await Target.program('busy', ['integer']);
  must(target.dump('--leave-stopped'));
  expect(target.proc('status')).toMatch(/^State:\s+T/m);
  process.kill(target.pid, 'SIGCONT');
  await target.finish();
});

test('a full disk leaves the program running and no image behind', async () => {
  // Program and crts share a mount namespace in which the images directory is a small tmpfs.
  const script = 'mkdir -p DIR/images && mount -t tmpfs -o size=256k none DIR/images && exec "$0" GO DIR/mapped';
  const target = Target.start('unshare', ['-m', 'sh', '-c', script, compile('memory')]);
  await until('the program to be ready', () => target.text().includes('ready'));
  const before = snapshot(target.pid);
  const inside = (...command: string[]) =>
    spawnSync('nsenter', ['-m', '-t', String(target.pid), ...command], { encoding: 'utf8' });
  const { status, stderr } = inside(
    join(repository, 'packages/cli/bin/crts.js'),
    'dump',
    '-t',
    String(target.pid),
    '-D',
    target.images,
  );
  expect(status).toBe(1);
  expect(stderr).toMatch(/ENOSPC \[CRTS_(PAGES|IMAGE)_WRITE\]\n {2}Free /);
  expect(inside('ls', '-A', target.images).stdout).toBe('');
  expect(snapshot(target.pid)).toEqual(before);
  await target.finish();
});
