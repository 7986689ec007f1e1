// Half-built trees on the real kernel: nothing of them is left.
import { readdirSync, readFileSync } from 'node:fs';
import {
  ProgramBuilder,
  PTRACE_O_EXITKILL,
  ptraceInterrupt,
  ptraceSeize,
  StubYard,
  stubAreaSize,
  type UnbornStub,
} from '@crts/native-syscalls';
import { placeAgents } from './forks/places';
import type { ForkOp, ForkPlan } from './forks/plan';
import { Nursery } from './nursery';
import { SparePids } from './spare-pids';

const START = 0x3000_0000_0000n;
const area = { start: START, end: START + stubAreaSize(320 * 1024) };
const layout = { area, doorbellNumber: 50, spareNumber: 54, agents: 1 };

function newNursery(tasks: number, plan: ForkPlan): Nursery {
  return new Nursery(layout, tasks, plan, placeAgents(plan), new Set());
}

function planOf(...rounds: ForkOp[][]): ForkPlan {
  return { rounds, ending: [], outerPgid: undefined };
}

/** Children of this process, dead ones included. */
function children(): string[] {
  const tasks = readdirSync('/proc/self/task');
  return tasks.flatMap((tid) =>
    readFileSync(`/proc/self/task/${tid}/children`, 'latin1').trim().split(' ').filter(Boolean),
  );
}

function fork(actor: number, child: number): ForkOp {
  return { op: 'fork', actor, child, cloneParent: false, helper: false, shares: [] };
}

afterEach(() => jest.restoreAllMocks());

test('a task whose threads are traced already is ended with them', () => {
  const before = children();
  const nursery = newNursery(1, planOf());
  const root = nursery.launchRoot(0, false);
  root.createThreads([{ tid: 0, program: new ProgramBuilder() }]);
  for (const tid of readdirSync(`/proc/${root.hostPid}/task`).map(Number)) {
    ptraceSeize(tid, PTRACE_O_EXITKILL);
    ptraceInterrupt(tid);
  }
  nursery.kill(0);
  nursery.close();
  expect(children()).toEqual(before);
});

test('one child of a round dies: the others are ended too', () => {
  const before = children();
  const nursery = newNursery(3, planOf([fork(0, -1), fork(0, -2)]));
  nursery.launchRoot(0, false);
  const { unborn } = StubYard.prototype;
  jest.spyOn(StubYard.prototype, 'unborn').mockImplementationOnce(function (this: StubYard): UnbornStub {
    const stub = unborn.call(this);
    return {
      ...stub,
      born: (): never => {
        stub.close();
        throw new Error('died');
      },
    };
  });
  expect(() => nursery.forkAll(new Map())).toThrow('died');
  nursery.kill(0);
  nursery.close();
  expect(children()).toEqual(before);
});

test('tasks that were restored dead leave nothing either', () => {
  const before = children();
  const pid = new SparePids(new Set()).next();
  const nursery = newNursery(2, planOf([fork(0, pid)]));
  nursery.launchRoot(0, false);
  nursery.forkAll(new Map());
  nursery.endDead([
    { pid, ppid: 0, pgid: 0, sid: 0, comm: 'gone', exitSignal: 17, owner: undefined, exitCode: 0x0300 },
  ]);
  nursery.kill(0);
  nursery.close();
  expect(children()).toEqual(before);
});
