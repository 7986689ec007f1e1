import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { snapshot } from '../harness/snapshot';
import { cleanUp, Target } from '../harness/target';

afterEach(cleanUp);

// The program compares what it sees of itself; the harness what anyone else sees.
test.each([
  ['plain', []],
  ['signals: actions, mask, alternate stack, a pending signal', ['signals']],
  ['attributes: limits, name, nice, affinity, personality, cwd, umask', ['attributes', '/tmp']],
  ['chroot', ['chroot', '/tmp']],
  ['credentials: ids, groups, capabilities, no_new_privs', ['credentials']],
])('%s', async (_name, args) => {
  // A program in a chroot finds no shared libraries: it is linked statically.
  const target = await Target.program('state', args, args[0] === 'chroot' ? ['-static'] : []);
  const before = snapshot(target.pid);
  await target.cycle();
  expect(snapshot(target.pid)).toEqual(before);
  await finish(target, args[0] === 'chroot');
});

/** Inside a root at /tmp the go file has the same name, one /tmp further down. */
async function finish(target: Target, chrooted: boolean): Promise<void> {
  if (!chrooted) return target.finish();
  mkdirSync(join('/tmp', target.directory), { recursive: true });
  writeFileSync(join('/tmp', target.go), '');
  try {
    await target.finish();
  } finally {
    rmSync('/tmp/tmp', { recursive: true, force: true });
  }
}

test('interval timers fire on', async () => {
  const target = await Target.program('state', ['timers']);
  await target.cycle();
  await target.finish();
});

test('registers: general, x87, SSE, AVX, AVX-512, segment bases', async () => {
  const target = await Target.program('registers');
  for (let round = 0; round < 5; round++) await target.cycle();
  await target.finish();
});

test.each(['nanosleep', 'clock_nanosleep', 'poll', 'select', 'futex', 'sigtimedwait'])('a task in %s', async (call) => {
  const target = await Target.program('blocked', [call]);
  await target.cycle();
  await target.finish();
});

test.each(['pause', 'sigsuspend'])('a task in %s still waits for its signal', async (call) => {
  const target = await Target.program('blocked', [call]);
  await target.cycle();
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(target.alive()).toBe(true);
  process.kill(target.pid, 'SIGUSR1');
  await target.finish();
});
