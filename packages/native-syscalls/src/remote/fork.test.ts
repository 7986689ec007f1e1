import { readdirSync, readFileSync } from 'node:fs';
import { waitPid } from '../wait';
import { ProgramBuilder } from './program-builder';
import { runTogether } from './remote-task';
import { type StubTask, StubYard, stubAreaSize } from './stub';

const START = 0x3000_0000_0000n;
const area = { start: START, end: START + stubAreaSize(64 * 1024) };

function parentOf(pid: number): number {
  return Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
}

/** Forks a child of `parent` and waits for its agent. */
function fork(yard: StubYard, parent: StubTask, flags = 0n): StubTask {
  const unborn = yard.unborn();
  const program = new ProgramBuilder();
  const pid = program.fork(0, flags, unborn.channel);
  parent.task.run(program);
  return unborn.born(Number(pid.value));
}

test('a forked child runs programs of its own, beside its parent', () => {
  const yard = new StubYard(area, 50, 4);
  const root = yard.launch(0, 0n);
  try {
    const child = fork(yard, root);
    const grandchild = fork(yard, child);
    const sibling = fork(yard, child, 0x8000n);
    expect([child, grandchild, sibling].map(({ hostPid }) => parentOf(hostPid))).toEqual([
      root.hostPid,
      child.hostPid,
      root.hostPid,
    ]);
    const jobs = [root, child, grandchild, sibling].map(({ hostPid, task }) => {
      const program = new ProgramBuilder();
      for (let i = 0; i < 2000; i++) program.call('getppid', []);
      return { task, hostPid, program, pid: program.call('getpid', []) };
    });
    runTogether(jobs);
    expect(jobs.map(({ pid }) => Number(pid.value))).toEqual(jobs.map(({ hostPid }) => hostPid));
    // Nothing but the doorbell and what the test itself left open below it.
    for (const { hostPid } of jobs) expect(readdirSync(`/proc/${hostPid}/fd`)).toEqual(['50']);
    for (const stub of [grandchild, child, sibling]) stub.close();
  } finally {
    root.close();
    expect(waitPid(root.hostPid)!.status).toBe(1 << 8);
    yard.close();
  }
});

test('a number that is taken is the error of the fork', () => {
  const yard = new StubYard(area, 50, 2);
  const root = yard.launch(0, 0n);
  try {
    const unborn = yard.unborn();
    expect(() =>
      root.task.run((program) => (program as ProgramBuilder).fork(process.pid, 0n, unborn.channel) as never),
    ).toThrow(expect.objectContaining({ errno: 'EEXIST' }));
    unborn.close();
    expect(readdirSync(`/proc/${root.hostPid}/fd`)).toEqual(['50']);
  } finally {
    root.close();
    waitPid(root.hostPid);
    yard.close();
  }
});
