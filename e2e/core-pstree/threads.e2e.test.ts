// Processes with threads: what each thread has for itself, and what it was doing.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { must } from '../harness/checkpointer';
import { compile } from '../harness/compile';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const FLAGS = ['-pthread'];

/** What /proc shows of each thread and must not change: names, masks, credentials, CPUs, scheduling. */
function threadsOf(pid: number): Record<string, unknown> {
  return Object.fromEntries(
    readdirSync(`/proc/${pid}/task`).map((tid) => {
      const read = (file: string) => readFileSync(`/proc/${pid}/task/${tid}/${file}`, 'latin1');
      const status = [
        ...read('status').matchAll(/^(Name|[UG]id|Groups|Cap\w+|Sig(?:Blk|Pnd)|Cpus_allowed|Seccomp):.*$/gm),
      ];
      const stat = read('stat')
        .replace(/^.*\) /s, '')
        .split(' ');
      // priority, nice, real-time priority, policy: fields 18, 19, 40, 41.
      return [tid, [status.map(([line]) => line), [18, 19, 40, 41].map((field) => stat[field - 3])]];
    }),
  );
}

flavours('threads that differ in all they have', {
  start: () => Target.program('threads', ['epoll'], { flags: FLAGS }),
  only: ['plain', 'once', 'repeated', 'left running'],
});

// A tracer that dies between its stop and its first write of registers leaves EINTR to epoll_wait and sigtimedwait, which the kernel
// does not make again after a stop: ptrace(2), signal(7). The program lets that be in this mode.
flavours('threads that differ, whose engine dies', {
  start: () => Target.program('threads', ['criu'], { flags: FLAGS }),
  only: ['killed'],
});

flavours('threads in the images of crts and of CRIU', {
  start: () => Target.program('threads', ['criu'], { flags: FLAGS }),
  only: ['plain', 'criu and back'],
});

flavours('fifty threads that work and wait', {
  start: () => Target.program('crowd', ['50'], { flags: FLAGS }),
  isMoving: true,
  handlesSignals: true,
  only: ['plain', 'once', 'repeated', 'left running', 'killed'],
});

test('each thread looks the same from outside', async () => {
  const target = await Target.program('threads', [], { flags: FLAGS });
  const before = threadsOf(target.pid);
  await target.cycle();
  expect(threadsOf(target.pid)).toEqual(before);
  await target.finish();
});

test('a thousand threads', async () => {
  const target = await Target.program('crowd', ['1000', 'idle'], { flags: FLAGS });
  const before = threadsOf(target.pid);
  expect(Object.keys(before)).toHaveLength(1001);
  for (let round = 0; round < 2; round++) {
    await target.cycle();
    expect(threadsOf(target.pid)).toEqual(before);
  }
  await target.finish();
});

test('threads born and dying all the time: thirty dumps, and restores', async () => {
  const target = await Target.program('spawner', [], { flags: FLAGS });
  for (let dump = 0; dump < 30; dump++) {
    target.clearImages();
    must(target.dump('--leave-running'));
  }
  await target.cycle();
  await target.cycle();
  await target.finish();
});

test('a sleep that was dumped before, and went on, sleeps its time in another life too', async () => {
  const target = await Target.program('threads', [], { flags: FLAGS });
  must(target.dump('--leave-running'));
  target.clearImages();
  must(target.dump('--leave-running'));
  target.clearImages();
  await target.cycle();
  await target.finish();
});

test('a process whose main thread has ended is refused, and goes on', async () => {
  const target = Target.start(compile('refused', FLAGS), ['GO', 'dead-main']);
  await until(
    'the main thread to be dead',
    () => target.text() === 'ready\n' && /^State:\s+Z/m.test(target.proc('status')),
  );
  const { status, stderr } = target.dump();
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_MAIN_THREAD_DEAD]');
  writeFileSync(target.go, '');
  await until('the other thread to end', () => target.text() === 'ready\nEXIT-SUCCESS\n');
});
