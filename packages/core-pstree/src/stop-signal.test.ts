import type { TaskSet } from './image-set';
import { stopSignalOf } from './stop-signal';

function task(pid: number, ppid: number, pgid: number, stop_signo?: number, sid = 1): TaskSet {
  return {
    pid,
    ppid,
    pgid,
    sid,
    images: { core: { tc: { stop_signo } } },
    threads: [],
    fdinfo: [],
  } as unknown as TaskSet;
}

const shell = task(1, 0, 1);

test('a job of a shell is stopped by the signal that stopped it', () => {
  const job = task(2, 1, 2, 20);
  expect(stopSignalOf(job, [shell, job], 0n)).toBe(20);
  // Its child is in the same group, which the shell keeps from being orphaned.
  const child = task(3, 2, 2, 22);
  expect(stopSignalOf(child, [shell, job, child], 0n)).toBe(22);
});

test.each([
  ['no signal in the image', task(2, 1, 2)],
  ['one that stops nothing', task(2, 1, 2, 9)],
  ['SIGSTOP', task(2, 1, 2, 19)],
  ['the group of its parent, orphaned as far as the tree tells', task(2, 1, 1, 20)],
  ['another session', task(2, 1, 2, 20, 2)],
])('SIGSTOP: %s', (_, job) => {
  expect(stopSignalOf(job, [shell, job], 0n)).toBe(19);
});

test('SIGSTOP where the main thread blocks the signal', () => {
  const job = task(2, 1, 2, 20);
  expect(stopSignalOf(job, [shell, job], 1n << 19n)).toBe(19);
});
