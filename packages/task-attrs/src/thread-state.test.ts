import { ProgramBuilder, schedAttr } from '@crts/native-syscalls';
import type { FrozenThread, PassHead, Program, RestoreContext, ThreadPlan, ThreadState } from '@crts/plugin-api';
import { dumpCpuControls, planCpuControls } from './cpu-controls';
import { noteDispatch, planDispatch, refuseDispatch } from './dispatch';
import { dumpMemoryPolicy, planMemoryPolicy } from './memory-policy';
import { dumpScheduling, planScheduling } from './scheduling';

/** What the kernel tells the engine of itself: a slice of 1.4 ms, memory on nodes 0 and 1. */
const own = { sliceNs: 1_400_000n, utilMax: 1024, speculation: [3, 3, -19] };
jest.mock('./own-thread', () => ({ ownThread: () => own, memoryNodes: () => 3n }));
jest.mock('@crts/native-syscalls', () => ({
  ...jest.requireActual('@crts/native-syscalls'),
  getAffinity: () => Buffer.from([3]),
}));
let dispatch: object | undefined;

/** Dumps one part of a thread with these answers: outputs in order, results by call and first argument. */
function dumped(
  dump: (program: Program) => (thread: FrozenThread) => void,
  outputs: readonly Buffer[],
  results: Record<string, bigint> = {},
  stat: Record<string, string> = {},
) {
  const left = [...outputs];
  const program = {
    out: () => {
      const bytes = left.shift();
      return { read: () => bytes };
    },
    call: (name: string, args: readonly unknown[]) => ({
      value: results[`${name} ${args[0]} ${args[1]}`] ?? results[`${name} ${args[0]}`] ?? 0n,
    }),
  } as unknown as Program;
  const core = { thread_core: {} as Record<string, unknown> };
  const facts = { stat: { policy: '0', nice: '0', flags: '0', rt_priority: '0', ...stat } };
  dump(program)({ tid: 12, hostTid: 12, core, facts } as unknown as FrozenThread);
  return core.thread_core as Record<string, unknown> & { crts: Record<string, unknown> };
}

function compile(
  planPart: (core: never, plan: ThreadPlan, context: RestoreContext) => void,
  crts: object,
  thread: object = {},
) {
  const program = new ProgramBuilder();
  const heads: PassHead[] = [];
  const warnings: string[] = [];
  let final: Partial<ThreadState> = {};
  const plan = {
    tid: 12,
    pass: (head: PassHead, emit: (into: Program) => void) => {
      heads.push(head);
      emit(program);
    },
    finalThread: (state: Partial<ThreadState>) => {
      final = state;
    },
  } as unknown as ThreadPlan;
  const context = { log: { warn: (_: object, text: string) => warnings.push(text) } } as unknown as RestoreContext;
  planPart({ thread_core: { crts, ...thread } } as never, plan, context);
  return { program, heads, warnings, final, text: program.text() };
}

/** The struct sched_attr of each sched_setattr of a program. */
function setAttributes({ instructions }: ProgramBuilder) {
  return instructions
    .filter(({ name }) => name === 'sched_setattr')
    .map(({ args }) => {
      const { content } = args[1] as unknown as { content: Buffer };
      const fields = Object.keys(schedAttr.fields) as (keyof typeof schedAttr.fields)[];
      return Object.fromEntries(fields.map((field) => [field, Number(schedAttr.get(content, field))]));
    });
}

describe('scheduling', () => {
  const attributes = (values: Parameters<typeof schedAttr.encode>[0]) =>
    schedAttr.encode({ size: 56, sched_runtime: own.sliceNs, sched_util_max: 1024, ...values });

  test('a thread with nothing of its own', () => {
    const { crts } = dumped(dumpScheduling, [attributes({})]);
    expect(crts).toEqual({ timer_slack_ns: 0n, cpu_affinity: Buffer.from([3]), io_priority: 0 });
  });

  test('slice, clamps, reset on fork, flusher', () => {
    const own = attributes({ sched_runtime: 9n, sched_util_min: 5, sched_util_max: 700, sched_flags: 1n });
    expect(dumped(dumpScheduling, [own], {}, { flags: String(0x18_0000) }).crts).toMatchObject({
      sched_slice_ns: 9n,
      util_min: 5,
      util_max: 700,
      sched_reset_on_fork: true,
      io_flusher: true,
    });
  });

  test.each([
    ['a kernel without clamps', { sched_util_max: 0 }, {}],
    ['a real-time thread, which is clamped from below by itself', { sched_util_min: 1024 }, { policy: '1' }],
  ])('no clamps: %s', (_, values, stat) => {
    expect(dumped(dumpScheduling, [attributes(values)], {}, stat).crts).not.toHaveProperty('util_max');
  });

  test('a deadline', () => {
    const deadline = { sched_runtime: 10n, sched_deadline: 20n, sched_period: 30n, sched_flags: 0x42n };
    const thread = dumped(dumpScheduling, [attributes(deadline)], {}, { policy: '6' });
    expect(thread).toMatchObject({
      sched_policy: 6,
      crts: { deadline: { runtime: 10n, deadline: 20n, period: 30n, flags: 2 } },
    });
    expect(thread).not.toHaveProperty('sched_nice');
    expect(thread.crts).not.toHaveProperty('sched_slice_ns');
  });

  test('a deadline comes last, after the affinity', () => {
    const deadline = { runtime: 10n, deadline: 20n, period: 30n, flags: 4 };
    const { program, text } = compile(
      planScheduling,
      { deadline, cpu_affinity: Buffer.from([3]), sched_reset_on_fork: true },
      { sched_policy: 6 },
    );
    expect(text.map((line) => line.slice(0, line.indexOf('(')))).toEqual([
      'sched_setscheduler',
      'setpriority',
      'sched_setaffinity',
      'sched_setattr',
    ]);
    expect(text[0]).toContain('(0, 0x40000000, ');
    expect(setAttributes(program)).toMatchObject([
      { size: 56, sched_policy: 6, sched_flags: 5, sched_runtime: 10, sched_deadline: 20, sched_period: 30 },
    ]);
    const { fail } = program.instructions.at(-1)!.options;
    expect(fail!('EBUSY', -16n)).toMatchObject({ code: 'CRTS_SCHED_DEADLINE', errno: 'EBUSY' });
  });

  test('a slice keeps policy, nice and reset on fork', () => {
    const { program } = compile(
      planScheduling,
      { sched_slice_ns: 9n, sched_reset_on_fork: true },
      { sched_policy: 3, sched_nice: 5 },
    );
    expect(setAttributes(program)).toMatchObject([
      { sched_policy: 3, sched_flags: 1, sched_nice: 5, sched_runtime: 9 },
    ]);
  });

  test('clamps; lost and said where the kernel has none', () => {
    expect(setAttributes(compile(planScheduling, { util_min: 5, util_max: 700 }).program)).toMatchObject([
      { sched_flags: 0x78, sched_util_min: 5, sched_util_max: 700 },
    ]);
    own.utilMax = 0;
    try {
      const { program, warnings } = compile(planScheduling, { util_min: 5, util_max: 700 });
      expect(setAttributes(program)).toEqual([]);
      expect(warnings).toHaveLength(1);
    } finally {
      own.utilMax = 1024;
    }
  });

  test('a flusher needs a capability', () => {
    const { program } = compile(planScheduling, { io_flusher: true });
    const call = program.instructions.find(({ args }) => args[0] === 57)!;
    expect(call.options.fail!('EPERM', -1n)).toMatchObject({ code: 'CRTS_IO_FLUSHER' });
  });
});

describe('NUMA policy', () => {
  const word = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  const nodes = Buffer.alloc(512);
  nodes[0] = 2;

  test('interleaved over static nodes', () => {
    expect(dumped(dumpMemoryPolicy, [word(0x8003), nodes]).crts).toEqual({
      mem_policy: 0x8003,
      mem_nodes: Buffer.from([2]),
    });
  });

  test.each([
    ['the default', word(0), 0n],
    ['a kernel without NUMA', word(3), -38n],
  ])('nothing: %s', (_, mode, result) => {
    expect(dumped(dumpMemoryPolicy, [mode, nodes], { 'get_mempolicy [object Object]': result })).toEqual({});
  });

  test('set when all memory is there', () => {
    const { heads, text } = compile(planMemoryPolicy, { mem_policy: 0x8003, mem_nodes: Buffer.from([2]) });
    expect(heads).toMatchObject([{ stage: 'resume' }]);
    expect(text).toEqual(['set_mempolicy(0x8003, &<512 bytes>, 0x1001)']);
    expect(compile(planMemoryPolicy, { mem_policy: 4 }).text).toEqual(['set_mempolicy(4, NULL, 0)']);
    expect(compile(planMemoryPolicy, {}).text).toEqual([]);
  });

  test('lost and said where the machine has none of its nodes', () => {
    const { text, warnings } = compile(planMemoryPolicy, { mem_policy: 2, mem_nodes: Buffer.from([4]) });
    expect(text).toEqual([]);
    expect(warnings).toHaveLength(1);
  });

  test.each([{ mem_policy: 7 }, { mem_policy: 0x1_0000 }, { mem_policy: 2, mem_nodes: Buffer.alloc(513) }])(
    'an image with %p',
    (crts) => {
      expect(() => compile(planMemoryPolicy, crts)).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }));
    },
  );
});

describe('CPU controls', () => {
  const tsc = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    return bytes;
  };
  const usual = { 'prctl 52 0': 3n, 'prctl 52 1': 3n, 'prctl 52 2': -19n, 'prctl 34': 2n, 'arch_prctl 4113': 1n };

  test('nothing of its own', () => {
    expect(dumped(dumpCpuControls, [tsc(1)], usual).crts).toEqual({});
  });

  test('what differs, without the bit that says that it may', () => {
    const results = { ...usual, 'prctl 52 0': 17n, 'prctl 52 1': 8n, 'prctl 34': 1n, 'arch_prctl 4113': 0n };
    expect(dumped(dumpCpuControls, [tsc(2)], results).crts).toEqual({
      store_bypass: 16,
      tsc_faults: true,
      cpuid_faults: true,
      memory_failure: 1,
    });
  });

  test('again', () => {
    const crts = { store_bypass: 4, l1d_flush: 2, tsc_faults: true, cpuid_faults: true, memory_failure: 0 };
    expect(compile(planCpuControls, crts).text).toEqual([
      'prctl(53, 0, 4, 0, 0)',
      'prctl(53, 2, 2, 0, 0)',
      'prctl(33, 1, 0, 0, 0)',
      'prctl(26, 2)',
      'arch_prctl(0x1012, 0)',
    ]);
    expect(compile(planCpuControls, { tsc_faults: false }).heads).toEqual([]);
  });

  test.each([{ store_bypass: 3 }, { memory_failure: 3 }])('an image with %p', (crts) => {
    expect(() => compile(planCpuControls, crts)).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }));
  });
});

describe('syscall user dispatch', () => {
  test('noted as the kernel keeps it', () => {
    dispatch = { offset: 1n, length: 2n, selector: 0x5000n };
    const thread = {
      tid: 12,
      hostTid: 12,
      core: { thread_core: {} },
      task: { readMemory: () => Buffer.from([0]) },
      syscallDispatch: () => dispatch,
    } as unknown as FrozenThread;
    expect(refuseDispatch(thread)).toBeUndefined();
    noteDispatch(thread);
    expect(thread.core).toEqual({ thread_core: { crts: { syscall_dispatch: dispatch } } });
  });

  test('left to the engine, for the time when the agent is gone', () => {
    const entry = { offset: 0x1000n, length: 0x1000n, selector: 0x5000n };
    expect(compile(planDispatch, { syscall_dispatch: entry })).toMatchObject({
      final: { syscallDispatch: entry },
      heads: [],
    });
    expect(compile(planDispatch, {}).final).toEqual({});
  });

  test.each([
    { offset: 0n, length: 0n, selector: 1n << 63n },
    { offset: 1n, length: 0n, selector: 0n },
  ])('an image with %p', (entry) => {
    expect(() => compile(planDispatch, { syscall_dispatch: entry })).toThrow(
      expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }),
    );
  });
});
