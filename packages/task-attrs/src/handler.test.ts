import { ProgramBuilder } from '@crts/native-syscalls';
import type { FrozenTask, FrozenThread, PassHead, Program, TaskImages, TaskPlan, ThreadPlan } from '@crts/plugin-api';
import { attributesHandler } from './handler';

jest.mock('@crts/native-syscalls', () => ({
  ...jest.requireActual('@crts/native-syscalls'),
  getAffinity: () => Buffer.from([3]),
  ptraceGetSyscallDispatchMode: () => dispatch,
}));
let dispatch = 0;

describe('refuse', () => {
  const refusal = (stat: Record<string, string>, status: Record<string, string>) =>
    attributesHandler.refuseThread({
      tid: 12,
      facts: { stat: { policy: '0', ...stat }, status: new Map(Object.entries(status)) },
    } as unknown as FrozenThread);

  afterEach(() => {
    dispatch = 0;
  });

  test.each(['0', '1', '2', '3', '5'])('not scheduling policy %s', (policy) => {
    expect(refusal({ policy }, { Seccomp: '0' })).toBeUndefined();
  });

  test.each(['6', '7'])('scheduling policy %s', (policy) => {
    expect(refusal({ policy }, {})).toMatchObject({ code: 'CRTS_SCHED_POLICY', kind: 'refused' });
  });

  test.each(['1', '2'])('seccomp mode %s', (Seccomp) => {
    expect(refusal({}, { Seccomp })).toMatchObject({ code: 'CRTS_SECCOMP', kind: 'refused', pid: 12 });
  });

  test('syscall user dispatch', () => {
    dispatch = 1;
    expect(refusal({}, {})).toMatchObject({ code: 'CRTS_SYSCALL_DISPATCH', kind: 'refused' });
  });
});

describe('dump', () => {
  function dumped(stat: Record<string, string>, thp = 0n) {
    const program = {
      out: () => ({ read: () => Buffer.alloc(4) }),
      call: (_: string, args: readonly unknown[]) => ({ value: args[0] === 42 ? thp : 0n }),
    } as unknown as Program;
    const warnings: string[] = [];
    const images = { core: { tc: {}, thread_core: {} as Record<string, unknown> }, mm: {} as Record<string, unknown> };
    const task = {
      pid: 12,
      images,
      facts: { comm: 'prog', stat: { flags: '4194304', policy: '0', nice: '0', rt_priority: '0', ...stat } },
      log: { warn: (_: object, text: string) => warnings.push(text) },
      readProc: () => '0',
    };
    const thread = { tid: 12, core: images.core, facts: task.facts };
    const process = attributesHandler.dump(task as unknown as FrozenTask, program);
    const main = attributesHandler.dumpThread(thread as unknown as FrozenThread, program);
    process();
    main();
    return { ...images, warnings };
  }

  test('a nice value', () => {
    const { thread_core } = dumped({ nice: '-7' }).core;
    expect(thread_core).toMatchObject({ sched_policy: 0, sched_nice: -7 });
    expect(thread_core).not.toHaveProperty('sched_prio');
  });

  test('a real-time priority, with the nice value that waits behind it', () => {
    expect(dumped({ policy: '1', rt_priority: '3', nice: '-7' }).core.thread_core).toMatchObject({
      sched_policy: 1,
      sched_prio: 3,
      sched_nice: -7,
    });
    expect(dumped({ policy: '1', rt_priority: '3' }).core.thread_core).not.toHaveProperty('sched_nice');
  });

  test.each([
    [0n, undefined, 0],
    [1n, true, 0],
    [3n, true, 1],
  ])('the switch for huge pages: %d', (value, disabled, warned) => {
    const { mm, warnings } = dumped({}, value);
    expect(mm.thp_disabled).toBe(disabled);
    expect(warnings).toHaveLength(warned);
  });
});

describe('plan', () => {
  function compile(tc: object, thread: object = {}, mm: object = {}) {
    const passes = new Map<string, string[]>();
    const plan = {
      pid: 12,
      tid: 12,
      hostStep: () => undefined,
      pass: (head: PassHead, emit: (program: Program) => void) => {
        const program = new ProgramBuilder();
        emit(program);
        passes.set(head.stage, [...(passes.get(head.stage) ?? []), ...program.text()]);
      },
    };
    const images = { core: { tc: { comm: 'prog', personality: 0, ...tc }, thread_core: thread }, mm };
    attributesHandler.plan(images as unknown as TaskImages, plan as unknown as TaskPlan);
    attributesHandler.planThread(images.core, plan as unknown as ThreadPlan);
    return (stage: string) => passes.get(stage) ?? [];
  }

  test('personality and subreaper first', () => {
    expect(compile({ personality: 0x40000, child_subreaper: true })('forking')).toEqual([
      'personality(0x40000)',
      'prctl(36, 1)',
    ]);
  });

  test('name and switches last, the dumpable flag after the credentials', () => {
    const lines = compile(
      { comm: 'tc', membarrier_registration_mask: 0b1_0000 },
      { comm: 'thread', crts: { mdwe: 3 } },
      { thp_disabled: true, dumpable: 2 },
    )('resume');
    expect(lines).toEqual([
      'prctl(41, 1, 0, 0, 0)',
      'membarrier(16, 0, 0)',
      'prctl(4, 0)',
      'prctl(65, 3, 0, 0, 0)',
      'prctl(15, "thread")',
    ]);
  });

  test.each([
    [{ sched_nice: 5 }, [/^sched_setscheduler\(0, 0, /, /^setpriority\(0, 0, 5\)/]],
    [{ sched_policy: 1, sched_prio: 3 }, [/^sched_setscheduler\(0, 1, /, /^setpriority\(0, 0, 0\)/]],
    [{ sched_policy: 2, sched_prio: 3, sched_nice: -7 }, [/^sched_setscheduler\(0, 2, /, /^setpriority\(0, 0, -7\)/]],
  ])('scheduling of %p', (thread, expected) => {
    const lines = compile({}, thread)('credentials');
    expect(lines).toEqual(expected.map((line) => expect.stringMatching(line)));
  });

  test.each([
    ['a name of 16 bytes', { comm: 'x'.repeat(16) }, {}, 'CRTS_IMAGE_FIELD'],
    ['SCHED_DEADLINE', {}, { sched_policy: 6 }, 'CRTS_SCHED_POLICY'],
  ])('an image with %s', (_, tc, thread, code) => {
    expect(() => compile(tc, thread)).toThrow(expect.objectContaining({ code }));
  });
});
