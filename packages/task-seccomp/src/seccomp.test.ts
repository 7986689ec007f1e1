import type { CoreEntry, SeccompFilter } from '@crts/image-io';
import { ProgramBuilder, SyscallError } from '@crts/native-syscalls';
import type {
  FrozenTask,
  FrozenThread,
  ImageItem,
  PassHead,
  Program,
  RestoreContext,
  ThreadPlan,
} from '@crts/plugin-api';
import { asksSupervisor } from './bpf';
import { chainAt, FilterImage } from './chain';
import { seccompHandler } from './handler';

jest.mock('@crts/native-syscalls', () => ({
  ...jest.requireActual('@crts/native-syscalls'),
  ptraceSeccompFilters: (tid: number) => kernel(tid),
}));
let kernel: (tid: number) => readonly { program: Buffer; flags: number }[] = () => [];

/** One instruction: BPF_RET | BPF_K. */
function returns(value: number): Buffer {
  const instruction = Buffer.alloc(8);
  instruction.writeUInt16LE(0x06);
  instruction.writeUInt32LE(value, 4);
  return instruction;
}
const ALLOW = returns(0x7fff_0000);
const ERRNO = returns(0x0005_0001);
const TRAP = returns(0x0003_0000);

test('a filter that asks its supervisor', () => {
  expect(asksSupervisor(Buffer.concat([ALLOW, returns(0x7fc0_0000)]))).toBe(true);
  expect(asksSupervisor(Buffer.concat([ALLOW, ERRNO, TRAP]))).toBe(false);
  // The same number where it is compared with, not returned.
  const jump = returns(0x7fc0_0000);
  jump.writeUInt16LE(0x15);
  expect(asksSupervisor(jump)).toBe(false);
});

function frozen(chains: Record<number, readonly Buffer[] | 'strict' | undefined>, status: Record<string, string> = {}) {
  kernel = (tid) => (chains[tid] as readonly Buffer[]).map((program) => ({ program, flags: program === TRAP ? 2 : 0 }));
  const items: ImageItem[] = [];
  const task = { pid: 12, tree: { addItem: (_: string, item: ImageItem) => items.push(item) } };
  const threads = Object.entries(chains).map(([tid, chain]) => ({
    tid: Number(tid),
    hostTid: Number(tid),
    core: { thread_core: {} as NonNullable<CoreEntry['thread_core']> },
    facts: {
      status: new Map(
        Object.entries({ Seccomp: chain === undefined ? '0' : chain === 'strict' ? '1' : '2', ...status }),
      ),
    },
  }));
  const refusals = threads.map((thread) => seccompHandler.refuseThread(thread as unknown as FrozenThread));
  return { task: { ...task, threads } as unknown as FrozenTask, threads, items, refusals };
}

function dumped(...tasks: readonly ReturnType<typeof frozen>[]) {
  for (const { task } of tasks) seccompHandler.dump({ ...task, threads: task.threads, tree: tasks[0]!.task.tree })();
  const entries = tasks[0]!.items.map(({ value }) => value as { seccomp_filters: SeccompFilter[] });
  const cores = tasks.flatMap(({ threads }) => threads.map(({ core }) => core.thread_core));
  return { entries, cores };
}

describe('refuse', () => {
  test('neither mode of the kernel', () => {
    expect(frozen({ 12: [ALLOW], 13: 'strict', 14: undefined }).refusals).toEqual([undefined, undefined, undefined]);
  });

  test('a supervisor', () => {
    expect(frozen({ 12: [ALLOW, returns(0x7fc0_0000)] }).refusals[0]).toMatchObject({
      code: 'CRTS_SECCOMP_NOTIFY',
      kind: 'refused',
      pid: 12,
    });
  });

  test('a mode of another kernel', () => {
    expect(frozen({ 12: [] }, { Seccomp: '3' }).refusals[0]).toMatchObject({ code: 'CRTS_SECCOMP_MODE' });
  });

  test('filters that cannot be read', () => {
    const { threads } = frozen({ 12: [ALLOW] });
    kernel = () => {
      throw new SyscallError('ptrace', 13);
    };
    expect(seccompHandler.refuseThread(threads[0] as unknown as FrozenThread)).toMatchObject({
      code: 'CRTS_SECCOMP_READ',
      errno: 'EACCES',
    });
  });
});

describe('dump', () => {
  test('nothing, no image', () => {
    expect(dumped(frozen({ 12: undefined }))).toEqual({ entries: [], cores: [{}] });
  });

  test('a chain is known by its oldest filter, and leads to the younger ones', () => {
    const { entries, cores } = dumped(frozen({ 12: [ALLOW, TRAP, ERRNO], 13: undefined }));
    expect(entries).toEqual([
      {
        seccomp_filters: [
          { filter: ERRNO, flags: 0 },
          { filter: TRAP, flags: 2, prev: 0 },
          { filter: ALLOW, flags: 0, prev: 1 },
        ],
      },
    ]);
    expect(cores).toEqual([{ seccomp_mode: 2, seccomp_filter: 2 }, {}]);
    expect(chainAt(entries[0]!.seccomp_filters, 2).map(({ program }) => program)).toEqual([ALLOW, TRAP, ERRNO]);
  });

  test('what all threads have is with the main one, for all', () => {
    const { entries, cores } = dumped(frozen({ 12: [ALLOW], 13: [ALLOW] }));
    expect(entries[0]!.seccomp_filters).toEqual([{ filter: ALLOW, flags: 1 }]);
    expect(cores).toEqual([{ seccomp_mode: 2, seccomp_filter: 0 }, {}]);
  });

  test('threads that differ have each its own; strict mode too', () => {
    const { entries, cores } = dumped(frozen({ 12: [ALLOW], 13: [TRAP], 14: 'strict' }));
    expect(entries[0]!.seccomp_filters).toHaveLength(2);
    expect(cores).toEqual([
      { seccomp_mode: 2, seccomp_filter: 0 },
      { seccomp_mode: 2, seccomp_filter: 1 },
      { seccomp_mode: 1 },
    ]);
  });

  test('what all threads begin with is counted; each has its whole chain', () => {
    const { entries, cores } = dumped(frozen({ 12: [ALLOW], 13: [ALLOW, TRAP], 14: [ALLOW, ERRNO, TRAP] }));
    expect(entries[0]!.seccomp_filters).toHaveLength(6);
    expect(cores.map((core) => core?.crts)).toEqual([1, 1, 1].map((count) => ({ seccomp_common: count })));
    const apart = dumped(frozen({ 12: [ALLOW], 13: [ALLOW, TRAP], 14: undefined }));
    expect(apart.cores.map((core) => core?.crts)).toEqual([undefined, undefined, undefined]);
  });

  test('chains of several processes are one entry; equal ones are there once', () => {
    const parent = frozen({ 12: [ALLOW, TRAP] });
    const child = frozen({ 15: [ALLOW, TRAP] });
    const { entries, cores } = dumped(parent, child);
    expect(entries).toHaveLength(1);
    expect(entries[0]!.seccomp_filters).toHaveLength(2);
    expect(cores.map((core) => core?.seccomp_filter)).toEqual([1, 1]);
  });

  test('a thread that speculates does so again', () => {
    const { entries } = dumped(frozen({ 12: [ALLOW] }, { Speculation_Store_Bypass: 'thread vulnerable' }));
    expect(entries[0]!.seccomp_filters[0]!.flags).toBe(1 | 4);
  });
});

const contextOf = (filters: readonly SeccompFilter[]) =>
  ({ items: () => [{ value: { seccomp_filters: filters } }] }) as unknown as RestoreContext;

function compile(core: object, filters: readonly SeccompFilter[] = [], isMain = true, context = contextOf(filters)) {
  const program = new ProgramBuilder();
  const heads: PassHead[] = [];
  let suspended = 0;
  const plan = {
    tid: 12,
    isMain,
    suspendSeccomp: () => {
      suspended += 1;
    },
    pass: (head: PassHead, emit: (into: Program) => void) => {
      heads.push(head);
      emit(program);
    },
  } as unknown as ThreadPlan;
  seccompHandler.planThread(core as never, plan, context);
  return { program, heads, suspended, text: program.text() };
}

describe('plan', () => {
  const filters = [
    { filter: ERRNO, flags: 0 },
    { filter: TRAP, flags: 2, prev: 0 },
  ];

  test('nothing', () => {
    expect(compile({ thread_core: {} })).toMatchObject({ heads: [], suspended: 0 });
    expect(compile({ thread_core: { seccomp_mode: 0 } })).toMatchObject({ heads: [], suspended: 0 });
  });

  test('strict mode, before the credentials are given up', () => {
    const { text, heads, suspended } = compile({ thread_core: { seccomp_mode: 1 } });
    expect(text).toEqual(['prctl(22, 1, 0, 0, 0)']);
    expect(heads).toMatchObject([{ stage: 'credentials', provides: ['rlimits', 'scheduling'] }]);
    expect(suspended).toBe(1);
  });

  test('the oldest filter first', () => {
    const { text, suspended, program } = compile({ thread_core: { seccomp_mode: 2, seccomp_filter: 1 } }, filters);
    expect(text.map((line) => line.replace(/&<\w+( bytes)?>/g, 'data'))).toEqual([
      'store(data+8, data, 8)',
      'seccomp(1, 2, data) = 0',
      'store(data+8, data, 8)',
      'seccomp(1, 0, data) = 0',
    ]);
    expect(suspended).toBe(1);
    const [store, install] = program.instructions;
    expect((store!.args[0] as unknown as { content: Buffer }).content).toEqual(TRAP);
    expect(install!.options.expect).toBe(0);
    expect(install!.options.fail!('EACCES', -13n)).toMatchObject({ code: 'CRTS_SECCOMP_INSTALL', errno: 'EACCES' });
  });

  test('what all threads begin with the main one installs for all, and the others do not', () => {
    const common = { seccomp_mode: 2, crts: { seccomp_common: 1 } };
    const longer = { thread_core: { ...common, seccomp_filter: 1 } };
    const context = contextOf(filters);
    const flagsOf = ({ text }: { readonly text: readonly string[] }) =>
      text.flatMap((line) => /^seccomp\(1, (\d+)/.exec(line)?.slice(1) ?? []);
    expect(() => compile(longer, filters, false)).toThrow(/seccomp_common/);
    expect(flagsOf(compile(longer, filters, true, context))).toEqual(['3', '0']);
    expect(flagsOf(compile(longer, filters, false, context))).toEqual(['0']);
    // Nothing of its own: it is not traced for it.
    const bare = { thread_core: { ...common, seccomp_filter: 0 } };
    expect(compile(bare, filters, false, context)).toMatchObject({ suspended: 0, heads: [] });
    const more = { thread_core: { ...longer.thread_core, crts: { seccomp_common: 3 } } };
    expect(() => compile(more, filters)).toThrow(/seccomp_common/);
  });

  test('images before CRIU 4: for all threads', () => {
    const { text } = compile({ tc: { old_seccomp_mode: 2, old_seccomp_filter: 0 }, thread_core: {} }, filters);
    expect(text[1]).toMatch(/^seccomp\(1, 1, /);
  });

  test.each([
    ['an unknown mode', { seccomp_mode: 3 }, filters],
    ['no filter', { seccomp_mode: 2 }, filters],
    ['a filter that is not there', { seccomp_mode: 2, seccomp_filter: 2 }, filters],
    ['a circle', { seccomp_mode: 2, seccomp_filter: 0 }, [{ filter: ALLOW, prev: 0 }]],
    ['half an instruction', { seccomp_mode: 2, seccomp_filter: 0 }, [{ filter: Buffer.alloc(12) }]],
    ['an empty filter', { seccomp_mode: 2, seccomp_filter: 0 }, [{ filter: Buffer.alloc(0) }]],
    ['too long a filter', { seccomp_mode: 2, seccomp_filter: 0 }, [{ filter: Buffer.alloc(8 * 4097) }]],
    ['a listener', { seccomp_mode: 2, seccomp_filter: 0 }, [{ filter: ALLOW, flags: 8 }]],
  ])('an image with %s', (_, thread_core, list) => {
    expect(() => compile({ thread_core }, list)).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }));
  });
});

test('the image of a tree is made once', () => {
  const items: ImageItem[] = [];
  const tree = { addItem: (_: string, item: ImageItem) => items.push(item) } as never;
  expect(FilterImage.of(tree)).toBe(FilterImage.of(tree));
  expect(items).toHaveLength(1);
});
