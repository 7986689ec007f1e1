import { readdirSync, readFileSync } from 'node:fs';
import { waitPid } from '../wait';
import { ProgramBuilder } from './program-builder';
import { runTogether } from './remote-task';
import { type StubTask, StubYard, stubAreaSize } from './stub';

const START = 0x3000_0000_0000n;
const area = { start: START, end: START + stubAreaSize(64 * 1024) };
const layout = { doorbellNumber: 50, spareNumber: 54, agents: 1 };

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
  const yard = new StubYard({ ...layout, area }, 4);
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
  const yard = new StubYard({ ...layout, area }, 2);
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

describe('tasks that share', () => {
  const CLONE_VM = 0x100n;
  const CLONE_FILES = 0x400n;
  const kept = { start: START, end: START + stubAreaSize(64 * 1024, 3) };
  const open = (program: ProgramBuilder) =>
    program.call('dup', [program.call('memfd_create', [program.cstring('shared'), 0])]);

  function born(yard: StubYard, parent: StubTask, flags: bigint, place: { doorbellNumber: number; arena: number }) {
    const unborn = yard.unborn(place);
    const program = new ProgramBuilder();
    const pid = program.fork(0, flags, unborn.channel);
    parent.task.run(program);
    return unborn.born(Number(pid.value));
  }

  test('descriptors: each has its doorbell in the one table', () => {
    const yard = new StubYard({ ...layout, area, spareNumber: 62 }, 4);
    const root = yard.launch(0, 0n);
    try {
      const child = born(yard, root, CLONE_FILES, { doorbellNumber: 54, arena: 0 });
      const other = born(yard, child, CLONE_FILES, { doorbellNumber: 58, arena: 0 });
      const apart = born(yard, child, 0n, { doorbellNumber: 50, arena: 0 });
      child.task.run((program) => void open(program as ProgramBuilder));
      const fds = (stub: StubTask) => readdirSync(`/proc/${stub.hostPid}/fd`);
      for (const stub of [root, child, other])
        expect(fds(stub)).toEqual(expect.arrayContaining(['0', '1', '50', '54', '58']));
      expect(fds(root)).toHaveLength(5);
      expect(fds(apart)).toEqual(['50']);
      for (const stub of [apart, other, child]) stub.close();
    } finally {
      root.close();
      waitPid(root.hostPid);
      yard.close();
    }
  });

  test('memory: each has its arena in the one address space', () => {
    const yard = new StubYard({ ...layout, area: kept, spareNumber: 62, agents: 3 }, 4);
    const root = yard.launch(0, 0n);
    try {
      const child = born(yard, root, CLONE_VM, { doorbellNumber: 50, arena: 1 });
      const both = born(yard, child, CLONE_VM | CLONE_FILES, { doorbellNumber: 54, arena: 2 });
      const apart = born(yard, both, 0n, { doorbellNumber: 50, arena: 0 });
      const map = new ProgramBuilder();
      const where = map.call('mmap', [0, 4096, 3, 0x22, -1, 0]);
      both.task.run(map);
      const has = (stub: StubTask) =>
        readFileSync(`/proc/${stub.hostPid}/maps`, 'utf8').includes(`\n${where.value.toString(16)}-`);
      expect([root, child, both, apart].map(has)).toEqual([true, true, true, false]);
      runTogether(
        [root, child, both, apart].map(({ task }) => {
          const program = new ProgramBuilder();
          for (let i = 0; i < 2000; i++) program.call('getppid', []);
          return { task, program };
        }),
      );
      for (const stub of [apart, both, child]) stub.close();
    } finally {
      root.close();
      waitPid(root.hostPid);
      yard.close();
    }
  });

  test('one of a table dies: its end is seen, though the doorbell is still open', () => {
    const yard = new StubYard({ ...layout, area, spareNumber: 62 }, 2);
    const root = yard.launch(0, 0n);
    try {
      const child = born(yard, root, CLONE_FILES, { doorbellNumber: 54, arena: 0 });
      const program = new ProgramBuilder();
      program.call('exit_group', [3]);
      expect(() => child.task.run(program)).toThrow(expect.objectContaining({ code: 'CRTS_TASK_GONE' }));
      child.close();
    } finally {
      root.close();
      waitPid(root.hostPid);
      yard.close();
    }
  });
});

test('a task that somebody has stopped is given up', () => {
  const yard = new StubYard({ ...layout, area }, 1);
  const root = yard.launch(0, 0n);
  try {
    process.kill(root.hostPid, 'SIGSTOP');
    expect(() => root.task.run((program) => void program.call('getppid', []))).toThrow(
      expect.objectContaining({ code: 'CRTS_STUB_STOPPED', pid: root.hostPid }),
    );
  } finally {
    process.kill(root.hostPid, 'SIGKILL');
    root.close();
    waitPid(root.hostPid);
    yard.close();
  }
}, 120_000);
