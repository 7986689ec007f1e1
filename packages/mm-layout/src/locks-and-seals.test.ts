import type { MmEntry, VmaEntry } from '@crts/image-io';
import { ProgramBuilder } from '@crts/native-syscalls';
import type { FrozenTask, Program, RestoreContext, TaskImages, TaskPlan } from '@crts/plugin-api';
import { locksAndSeals } from './locks-and-seals';

/** Dumps a task that had so much locked before the agent came, and has so much now. */
function dump(before: string | undefined, after: string, isResident: boolean) {
  const calls: string[] = [];
  const program = {
    call: (name: string) => calls.push(name),
    out: () => ({ read: () => Buffer.from([isResident ? 1 : 0]) }),
  } as unknown as Program;
  const images = { mm: {} as Partial<MmEntry> };
  const task = {
    facts: { status: new Map(before === undefined ? [] : [['VmLck', before]]) },
    readProc: () => `VmPin:\t 0 kB\n${after}VmHWM:\t 3 kB\n`,
    images,
  } as unknown as FrozenTask;
  locksAndSeals.dump!(task, program)();
  expect(calls).toEqual(['mmap', 'mincore', 'munmap']);
  return images.mm;
}

describe('dump', () => {
  test('what the agent mapped counts as locked: all later memory does', () => {
    expect(dump('8 kB', 'VmLck:\t    1040 kB\n', true)).toEqual({ crts_lock_future: 2 });
  });

  test('and it is not there before it is touched', () => {
    expect(dump('0 kB', 'VmLck:\t    1040 kB\n', false)).toEqual({ crts_lock_future: 6 });
  });

  test('nothing where the agent is not locked, whatever is resident', () => {
    expect(dump('8 kB', 'VmLck:\t       8 kB\n', true)).toEqual({});
    expect(dump(undefined, '', false)).toEqual({});
  });
});

function plan(mm: object) {
  const program = new ProgramBuilder();
  const stages: string[] = [];
  const taskPlan = {
    pid: 12,
    pass(head: { stage: string }, emit: (into: Program) => void) {
      stages.push(head.stage);
      emit(program);
    },
  } as unknown as TaskPlan;
  locksAndSeals.plan!({ mm: { vmas: [], ...mm } } as unknown as TaskImages, taskPlan, {} as RestoreContext);
  return { stages, text: program.text() };
}

const mapping = (crts_state: number): Partial<VmaEntry> => ({ start: 0x10000n, end: 0x12000n, crts_state });

describe('plan', () => {
  test('sealed when all mappings are there, and only those that were', () => {
    expect(plan({ vmas: [mapping(2), mapping(1), {}] })).toEqual({
      stages: ['sigchld'],
      text: ['mseal(0x10000, 0x2000, 0)'],
    });
  });

  test('later memory is locked', () => {
    expect(plan({ crts_lock_future: 6 }).text).toEqual(['mlockall(6)']);
    expect(plan({}).text).toEqual([]);
  });

  test.each([1, 3, 4, 8])('images that ask for mlockall(%d) are refused', (future) => {
    expect(() => plan({ crts_lock_future: future })).toThrow(/CRTS_IMAGE_FIELD/);
  });
});
