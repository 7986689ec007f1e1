import { readFileSync } from 'node:fs';
import { ProgramBuilder } from '@crts/native-syscalls';
import type {
  FrozenTask,
  FrozenThread,
  PassHead,
  Program,
  RestoreContext,
  TaskImages,
  TaskPlan,
  ThreadPlan,
} from '@crts/plugin-api';
import { attributesHandler } from './handler';

jest.mock('@crts/native-syscalls', () => ({
  ...jest.requireActual('@crts/native-syscalls'),
  getAffinity: () => Buffer.from([3]),
  rawSyscall: (name: string, ...args: unknown[]) => kernel(name, args),
}));
let dispatch: object | undefined;
/** What the kernel tells the engine of itself. */
let kernel: (name: string, args: readonly unknown[]) => number = () => -22;

describe('refuse', () => {
  const refusal = (
    stat: Record<string, string>,
    status: Record<string, string>,
    readMemory?: (addr: bigint) => Buffer,
  ) =>
    attributesHandler.refuseThread({
      syscallDispatch: () => dispatch,
      tid: 12,
      hostTid: 12,
      task: { readMemory },
      facts: { stat: { policy: '0', ...stat }, status: new Map(Object.entries(status)) },
    } as unknown as FrozenThread);

  afterEach(() => {
    dispatch = undefined;
    kernel = () => -22;
  });

  test.each(['0', '1', '2', '3', '5', '6'])('not scheduling policy %s', (policy) => {
    expect(refusal({ policy }, {})).toBeUndefined();
  });

  test.each(['4', '7'])('scheduling policy %s', (policy) => {
    expect(refusal({ policy }, {})).toMatchObject({ code: 'CRTS_SCHED_POLICY', kind: 'refused' });
  });

  test.each([
    ['makes its calls', 0n, 0, false],
    ['has its calls dispatched', 0n, 1, true],
    ['has all its calls dispatched', undefined, 0, true],
  ])('a thread with syscall user dispatch that %s', (_, selector, byte, isRefused) => {
    dispatch = { offset: 0x1000n, length: 0x1000n, selector: selector === undefined ? 0n : 0x5000n };
    const error = refusal({}, {}, (addr) => Buffer.from([addr === 0x5000n ? byte : 99]));
    if (isRefused) expect(error).toMatchObject({ code: 'CRTS_SYSCALL_DISPATCH', kind: 'refused', pid: 12 });
    else expect(error).toBeUndefined();
  });

  test('a cookie of core scheduling', () => {
    kernel = (name, args) => {
      if (name === 'prctl' && args[0] === 62) (args[4] as BigUint64Array)[0] = 77n;
      return 0;
    };
    expect(refusal({}, {})).toMatchObject({ code: 'CRTS_CORE_SCHED', kind: 'refused', pid: 12 });
    kernel = () => 0;
    expect(refusal({}, {})).toBeUndefined();
  });
});

/** ARCH_GET_XCOMP_PERM of the task. */
let permitted = 0n;
/** Answers of a thread that has nothing special: PR_MCE_KILL_GET, ARCH_GET_CPUID. */
const DEFAULTS: Record<string, bigint> = { 'prctl 34': 2n, 'arch_prctl 4113': 1n };

describe('dump', () => {
  function dumped(stat: Record<string, string>, thp = 0n, stopSignal?: number) {
    const program = {
      out: (sizeBytes: number) => ({
        sizeBytes,
        read: () => {
          const bytes = Buffer.alloc(sizeBytes);
          if (sizeBytes === 8) bytes.writeBigUInt64LE(permitted);
          return bytes;
        },
      }),
      call: (name: string, args: readonly unknown[]) => ({
        value: name === 'prctl' && args[0] === 42 ? thp : (DEFAULTS[`${name} ${args[0]}`] ?? 0n),
      }),
    } as unknown as Program;
    const images = { core: { tc: {}, thread_core: {} as Record<string, unknown> }, mm: {} as Record<string, unknown> };
    const task = {
      pid: 12,
      stopSignal,
      images,
      facts: {
        comm: 'prog',
        stat: { flags: '4194304', policy: '0', nice: '0', rt_priority: '0', ...stat },
        status: new Map(),
      },
      readProc: () => '0',
    };
    const thread = { tid: 12, core: images.core, facts: task.facts, task };
    const process = attributesHandler.dump(task as unknown as FrozenTask, program);
    const main = attributesHandler.dumpThread(program);
    process();
    main(thread as unknown as FrozenThread);
    return images;
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

  test('components of the extended state beyond those of the engine', () => {
    kernel = (name, args) => {
      if (name === 'arch_prctl') (args[1] as BigUint64Array)[0] = 7n;
      return 0;
    };
    const crts = () => dumped({}).core.thread_core.crts as { xcomp_permission?: bigint };
    expect(crts()).not.toHaveProperty('xcomp_permission');
    permitted = 7n | (1n << 18n);
    expect(crts().xcomp_permission).toBe(1n << 18n);
    permitted = 0n;
    kernel = () => -22;
  });

  test('a stopped task, and by which signal', () => {
    expect(dumped({}).core.tc).toMatchObject({ task_state: 1 });
    expect(dumped({}).core.tc).not.toHaveProperty('stop_signo');
    expect(dumped({}, 0n, 20).core.tc).toMatchObject({ task_state: 3, stop_signo: 20 });
  });

  test.each([
    [0n, undefined, undefined],
    [1n, true, undefined],
    [3n, true, true],
  ])('the switch for huge pages: %d', (value, disabled, exceptAdvised) => {
    const { mm, core } = dumped({}, value);
    expect(mm.thp_disabled).toBe(disabled);
    expect((core.thread_core.crts as { thp_except_advised?: boolean }).thp_except_advised).toBe(exceptAdvised);
  });
});

describe('plan', () => {
  function compile(tc: object, thread: object = {}, mm: object = {}) {
    const passes = new Map<string, string[]>();
    const steps: string[] = [];
    const plan = {
      pid: 12,
      tid: 12,
      hostStep: ({ what }: { what: string }) => steps.push(what),
      pass: (head: PassHead, emit: (program: Program) => void) => {
        const program = new ProgramBuilder();
        emit(program);
        passes.set(head.stage, [...(passes.get(head.stage) ?? []), ...program.text()]);
      },
    };
    const images = { core: { tc: { comm: 'prog', personality: 0, ...tc }, thread_core: thread }, mm };
    const context = { log: { warn: () => undefined }, options: {} } as unknown as RestoreContext;
    attributesHandler.plan(images as unknown as TaskImages, plan as unknown as TaskPlan, context);
    attributesHandler.planThread(images.core, plan as unknown as ThreadPlan, context);
    return (stage: string) => (stage === 'host' ? steps : (passes.get(stage) ?? []));
  }

  test('what crts has itself is inherited', () => {
    const oom = Number(readFileSync('/proc/self/oom_score_adj', 'utf8'));
    const filter = Number.parseInt(readFileSync('/proc/self/coredump_filter', 'utf8'), 16);
    expect(compile({ oom_score_adj: oom }, { crts: { coredump_filter: filter } })('host')).toEqual([]);
    expect(compile({ oom_score_adj: oom + 1 }, { crts: { coredump_filter: filter ^ 1 } })('host')).toEqual([
      `oom_score_adj ${oom + 1}`,
      `coredump_filter 0x${(filter ^ 1).toString(16)}`,
    ]);
  });

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

  test('AMX tiles are allowed again', () => {
    expect(compile({}, { crts: { xcomp_permission: 1n << 18n } })('resume')).toContain('arch_prctl(0x1023, 18)');
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
    ['SCHED_EXT', {}, { sched_policy: 7 }, 'CRTS_SCHED_POLICY'],
    ['SCHED_DEADLINE without its times', {}, { sched_policy: 6 }, 'CRTS_IMAGE_FIELD'],
    ['a nice session of 20', {}, { crts: { autogroup_nice: 20 } }, 'CRTS_IMAGE_FIELD'],
  ])('an image with %s', (_, tc, thread, code) => {
    expect(() => compile(tc, thread)).toThrow(expect.objectContaining({ code }));
  });
});
