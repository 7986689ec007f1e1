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
  ThreadState,
} from '@crts/plugin-api';
import { signalsHandler } from './handler';

const ACTION = { sigaction: 0n, flags: 0n, restorer: 0n, mask: 0n };
const actions = (count = 62) => Array.from({ length: count }, () => ({ ...ACTION }));

function siginfo(signal: number, sizeBytes = 128) {
  const bytes = Buffer.alloc(sizeBytes);
  bytes.writeInt32LE(signal);
  return { siginfo: bytes };
}

function compile(tc: object, thread: object, detached = true, isRoot = true) {
  const passes: { head: PassHead; text: string[]; program: ProgramBuilder }[] = [];
  let final: Partial<ThreadState> = {};
  const plan = {
    pid: 12,
    tid: 12,
    isMain: true,
    isRoot,
    pass: (head: PassHead, emit: (program: Program) => void) => {
      const program = new ProgramBuilder();
      emit(program);
      passes.push({ head, program, text: program.text() });
    },
    finalThread: (state: Partial<ThreadState>) => {
      final = state;
    },
  };
  const warnings: string[] = [];
  const context = { options: { detached }, log: { warn: (_: object, text: string) => warnings.push(text) } };
  const core = { tc: { blk_sigset: 5n, sigactions: actions(), ...tc }, thread_core: thread };
  signalsHandler.plan({ core } as unknown as TaskImages, plan as unknown as TaskPlan);
  signalsHandler.planThread(core, plan as unknown as ThreadPlan, context as unknown as RestoreContext);
  return { passes, final, warnings };
}

describe('dump', () => {
  function dumped(pdeath = 0) {
    const table = Buffer.alloc(62 * 32);
    for (let index = 0; index < 62; index++) table.writeBigUInt64LE(BigInt(index), 32 * index);
    const stack = Buffer.alloc(24);
    stack.writeBigUInt64LE(0x7000n, 0);
    stack.writeInt32LE(-0x8000_0000, 8); // SS_AUTODISARM
    stack.writeBigUInt64LE(8192n, 16);
    const death = Buffer.alloc(4);
    death.writeInt32LE(pdeath);
    const contents = [table, stack, death];
    const signals: unknown[] = [];
    const program = {
      out: (sizeBytes: number) => ({ sizeBytes, read: () => contents.shift() }),
      call: (name: string, args: readonly unknown[]) => name === 'rt_sigaction' && signals.push(args[0]),
    } as unknown as Program;
    const core = { tc: {} as Record<string, unknown>, thread_core: {} as Record<string, unknown> };
    const thread = { core, state: { sigmask: 5n }, pendingSignals: () => [siginfo(34).siginfo] };
    const task = { images: { core }, threads: [thread], pendingSignals: () => [siginfo(10).siginfo] };
    const process = signalsHandler.dump(task as unknown as FrozenTask, program);
    const main = signalsHandler.dumpThread(program);
    process();
    main(thread as unknown as FrozenThread);
    return { ...core, signals };
  }

  test('every action but those of SIGKILL and SIGSTOP, ascending', () => {
    const { tc, signals } = dumped();
    const asked = Array.from({ length: 64 }, (_, index) => index + 1).filter((signal) => signal !== 9 && signal !== 19);
    expect(signals).toEqual(asked);
    expect((tc.sigactions as { sigaction: bigint }[]).map(({ sigaction }) => sigaction)).toEqual(
      asked.map((_, index) => BigInt(index)),
    );
  });

  test('mask, waiting signals, alternate stack', () => {
    const { tc, thread_core } = dumped();
    expect(tc).toMatchObject({ blk_sigset: 5n, signals_s: { signals: [siginfo(10)] } });
    expect(thread_core).toMatchObject({
      blk_sigset: 5n,
      signals_p: { signals: [siginfo(34)] },
      sas: { ss_sp: 0x7000n, ss_size: 8192n, ss_flags: 0x8000_0000 },
    });
    expect(thread_core).not.toHaveProperty('pdeath_sig');
  });

  test('the parent death signal', () => {
    expect(dumped(15).thread_core).toMatchObject({ pdeath_sig: 15 });
  });
});

describe('plan', () => {
  test('actions in their order; the mask of the thread goes to the last step', () => {
    const ignoring = actions().map((action) => ({ ...action, sigaction: 1n }));
    const { passes, final } = compile({ sigactions: ignoring }, { blk_sigset: 7n });
    expect(final).toEqual({ sigmask: 7n });
    expect(passes.map(({ head }) => head)).toMatchObject([
      { stage: 'sigchld', needs: ['vmas'], provides: ['sigactions'] },
    ]);
    const numbers = passes[0]!.program.instructions.map(({ args }) => args[0]);
    expect(numbers).toHaveLength(62);
    expect(numbers).not.toContain(9);
    expect(numbers).not.toContain(19);
    expect(numbers.at(-1)).toBe(64);
  });

  test('what a task is born with is not set', () => {
    const [first, second, third, ...others] = actions();
    const { passes } = compile(
      { sigactions: [first, { ...second, flags: 4n }, { ...third, mask: 1n }, ...others] },
      { blk_sigset: 7n },
    );
    expect(passes[0]!.program.instructions.map(({ args }) => args[0])).toEqual([2, 3]);
  });

  test('waiting signals are queued after the actions: an ignored one would be lost', () => {
    const { passes } = compile(
      { signals_s: { signals: [siginfo(10)] } },
      { signals_p: { signals: [siginfo(34), siginfo(34)] } },
    );
    const queues = passes.filter(({ head }) => head.needs?.includes('sigactions'));
    expect(queues.map(({ program }) => program.instructions.map(({ name }) => name))).toEqual([
      ['getpid', 'rt_sigqueueinfo'],
      ['getpid', 'gettid', 'rt_tgsigqueueinfo', 'rt_tgsigqueueinfo'],
    ]);
  });

  test.each([
    [{ ss_sp: 0n, ss_size: 0n, ss_flags: 2 }, 0],
    [{ ss_sp: 0x7000n, ss_size: 8192n, ss_flags: 1 }, 1],
    [undefined, 0],
  ])('an alternate stack of %p', (sas, count) => {
    const { passes } = compile({}, { sas });
    expect(passes.filter(({ text }) => text[0]?.startsWith('sigaltstack'))).toHaveLength(count);
  });

  test('the parent death signal: set at the very end, lost when crts leaves', () => {
    const attached = compile({}, { pdeath_sig: 15 }, false);
    expect(attached.passes.at(-1)).toMatchObject({ head: { stage: 'resume' }, text: ['prctl(1, 15)'] });
    const detached = compile({}, { pdeath_sig: 15 }, true);
    expect(detached.passes.at(-1)!.head.stage).not.toBe('resume');
    expect(detached.warnings).toHaveLength(1);
    expect(compile({}, { pdeath_sig: 15 }, true, false).passes.at(-1)).toMatchObject({ text: ['prctl(1, 15)'] });
  });

  test.each([
    ['63 actions', { sigactions: actions(63) }, {}],
    ['no actions', { sigactions: [] }, {}],
    ['a short siginfo', { signals_s: { signals: [siginfo(10, 127)] } }, {}],
    ['a waiting SIGKILL', { signals_s: { signals: [siginfo(9)] } }, {}],
    ['a waiting signal 0', {}, { signals_p: { signals: [siginfo(0)] } }],
    ['a waiting signal 65', {}, { signals_p: { signals: [siginfo(65)] } }],
  ])('an image with %s', (_, tc, thread) => {
    expect(() => compile(tc, thread)).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }));
  });
});
