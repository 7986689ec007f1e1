import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { must } from '../harness/checkpointer';
import { snapshot } from '../harness/snapshot';
import { cleanUp, Target } from '../harness/target';

afterEach(cleanUp);

/** Children of this process, the subreaper of all that the tests start: a process that crts forgot would be one. */
function children(): string[] {
  return readFileSync('/proc/thread-self/children', 'utf8').trim().split(' ').sort();
}

function leftInTmp(): string[] {
  return readdirSync('/tmp')
    .filter((name) => name.startsWith('crts'))
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
}, 300_000);

test('30 dumps of a process that is left running', async () => {
  const target = await Target.program('busy', ['integer']);
  const before = snapshot(target.pid);
  for (let cycle = 0; cycle < 30; cycle++) must(target.dump('--leave-running'));
  expect(snapshot(target.pid)).toEqual(before);
  await target.finish();
}, 120_000);

test('a process left stopped, and continued', async () => {
  const target = await Target.program('busy', ['integer']);
  must(target.dump('--leave-stopped'));
  expect(target.proc('status')).toMatch(/^State:\s+T/m);
  process.kill(target.pid, 'SIGCONT');
  await target.finish();
});

test('a full disk leaves the program running and the directory empty', async () => {
  const target = await Target.program('memory', ['DIR/mapped']);
  const before = snapshot(target.pid);
  const { spawnSync } = await import('node:child_process');
  const { repository } = await import('../harness/checkpointer');
  // The tmpfs is mounted in a mount namespace of its own; crts follows the program's, so only the images see it.
  const script = 'mount -t tmpfs -o size=256k none "$1/images" && exec "$0" dump -t "$2" -D "$1/images"';
  const { status, stderr } = spawnSync(
    'unshare',
    ['-m', 'sh', '-c', script, `${repository}/packages/cli/bin/crts.js`, target.directory, String(target.pid)],
    { encoding: 'utf8' },
  );
  expect(status).toBe(1);
  expect(stderr).toMatch(/\[CRTS_(PAGES_WRITE|IMAGE_WRITE|NAMESPACE)\]/);
  expect(snapshot(target.pid)).toEqual(before);
  await target.finish();
});
