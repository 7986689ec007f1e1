import { itimerspec, ProgramBuilder, sigevent, timespec } from '@crts/native-syscalls';
import type { FrozenTask, HostStepContext, Logger, PassHead, Program, TaskPlan } from '@crts/plugin-api';
import { clockOf, threadCpuClock } from './clocks';
import { dumpPosix, noteThread, refusePosix } from './posix-dump';
import { kernelRestoresIds, planPosix } from './posix-plan';
import { parseProcTimers } from './proc-timers';

/** Linux 6.18; the program has pid 40818. */
const PROC = `ID: 13
signal: -5/0000000000000000
notify: none/pid.40818
ClockID: 1
ID: 11
signal: 35/ffffffffffffffff
notify: signal/tid.40818
ClockID: -2
ID: 0
signal: 14/0000000000001234
notify: thread/pid.40818
ClockID: 0
`;
const THREAD_CLOCK = -2;

describe('/proc/PID/timers', () => {
  test('in the order of the numbers', () => {
    expect(parseProcTimers(PROC)).toEqual([
      { id: 0, signal: 14, value: 0x1234n, notify: 2, hostTid: 40818, clock: 0 },
      { id: 11, signal: 35, value: 0xffff_ffff_ffff_ffffn, notify: 4, hostTid: 40818, clock: -2 },
      { id: 13, signal: -5, value: 0n, notify: 1, hostTid: 40818, clock: 1 },
    ]);
    expect(parseProcTimers('')).toEqual([]);
  });

  test('a line that is not known is not skipped', () => {
    expect(parseProcTimers(`${PROC}Flags: 1\n`)).toBeUndefined();
    expect(parseProcTimers('ID: 13\nsignal: 3\n')).toBeUndefined();
  });
});

test('clocks', () => {
  expect([0, 1, 7, 8, 9, 11].map(clockOf)).toEqual(Array(6).fill('wall'));
  expect([4, 5, 6, 10, 12, 40].map(clockOf)).toEqual(Array(6).fill(undefined));
  expect(clockOf(-6)).toEqual({ id: 0, perThread: false });
  expect(clockOf(3)).toEqual({ id: 0, perThread: true });
  expect(clockOf(threadCpuClock(4711))).toEqual({ id: 4711, perThread: true });
  // A clock of a descriptor.
  expect(clockOf((~3 << 3) | 3)).toBeUndefined();
});

const times = (interval: readonly [bigint, bigint], value: readonly [bigint, bigint]) =>
  itimerspec.encode({
    'it_interval.tv_sec': interval[0],
    'it_interval.tv_nsec': interval[1],
    'it_value.tv_sec': value[0],
    'it_value.tv_nsec': value[1],
  });

function frozen(proc: string, tids: readonly number[] = [12]) {
  const task = {
    pid: 12,
    readProc: () => proc,
    images: { core: { tc: {} as Record<string, unknown> } },
  } as unknown as FrozenTask;
  const threads = tids.map((tid) => ({ tid, hostTid: tid + 1000, isMain: tid === 12, task }));
  Object.assign(task, { threads });
  return task;
}

/** The kernel's side: what timer_gettime and timer_getoverrun answer. */
function answering(outputs: readonly Buffer[], overrun = 0n): Program {
  const left = [...outputs];
  return {
    out: () => {
      const answer = left.shift();
      return { read: () => answer };
    },
    call: () => ({ value: overrun }),
  } as unknown as Program;
}

const timerOf = (clock: number, notify = 'signal/pid.1012', id = 3) =>
  `ID: ${id}\nsignal: 34/0000000000000007\nnotify: ${notify}\nClockID: ${clock}\n`;

describe('refuse', () => {
  test.each([
    [timerOf(1), [12]],
    [timerOf(1, 'signal/tid.1013'), [12, 13]],
    [timerOf((~12 << 3) | 2), [12]],
    [timerOf(threadCpuClock(13)), [12, 13]],
  ])('not %j', (proc, tids) => {
    expect(refusePosix(frozen(proc, tids))).toBeUndefined();
  });

  test.each([
    ['a thread that ended', timerOf(1, 'signal/tid.1013'), 'CRTS_TIMER_TARGET'],
    ['the CPU time of another process', timerOf((~1 << 3) | 2), 'CRTS_TIMER_CLOCK'],
    ['the CPU time of a thread that ended', timerOf(threadCpuClock(13)), 'CRTS_TIMER_CLOCK'],
    ['a clock of another kernel', timerOf(77), 'CRTS_TIMER_CLOCK'],
    ['an unknown description', 'ID: x\n', 'CRTS_TIMER_PROC'],
  ])('%s', (_, proc, code) => {
    expect(refusePosix(frozen(proc))).toMatchObject({ code, kind: 'refused', pid: 12 });
  });
});

describe('dump', () => {
  test('an entry of the format', () => {
    const task = frozen(timerOf(-6, 'signal/tid.1012'));
    refusePosix(task);
    expect(dumpPosix(task, answering([times([1n, 2n], [3n, 4n])], 5n))()).toEqual([
      {
        it_id: 3,
        clock_id: 0xffff_fffa,
        si_signo: 34,
        it_sigev_notify: 4,
        sival_ptr: 7n,
        overrun: 5,
        isec: 1n,
        insec: 2n,
        vsec: 3n,
        vnsec: 4n,
        notify_thread_id: 12,
      },
    ]);
  });

  /** CPU time of each thread and time left of the one timer, look by look: [main, 13, 14], left. */
  function owner(looks: readonly (readonly [readonly bigint[], bigint])[], tids = [12, 13, 14], every = 0n) {
    const task = frozen(timerOf(THREAD_CLOCK), tids);
    const answers = looks.flatMap(([used, left]) => [
      ...used.map((time) => timespec.encode({ tv_nsec: time })),
      times([0n, every], [0n, left]),
    ]);
    Object.assign(task, {
      run: (build: (program: Program) => void) => build(answering(answers.splice(0, tids.length + 1))),
    });
    refusePosix(task);
    const read = dumpPosix(task, answering([times([0n, 0n], [9n, 9n])]));
    const entries = read();
    for (const thread of task.threads) noteThread(thread);
    return entries[0]!.clock_id;
  }
  const other = (tid: number) => threadCpuClock(tid) >>> 0;

  test('a timer of the main thread moves while that looks', () => {
    expect(
      owner([
        [[100n, 50n, 50n], 900n],
        [[110n, 53n, 52n], 890n],
        [[120n, 53n, 52n], 880n],
      ]),
    ).toBe(0xffff_fffe);
  });

  test('a timer of another thread moved by as much as that ran', () => {
    const looks = [
      [[100n, 50n, 50n], 900n],
      [[110n, 53n, 52n], 898n],
      [[120n, 53n, 52n], 898n],
    ] as const;
    expect(owner(looks)).toBe(other(14));
  });

  test('an interval may have passed meanwhile', () => {
    const looks = [
      [[100n, 50n, 50n], 1n],
      [[110n, 55n, 52n], 999n],
      [[120n, 55n, 52n], 999n],
    ] as const;
    expect(owner(looks, [12, 13, 14], 1000n)).toBe(other(14));
  });

  test('of two threads the one that is not the main one', () => {
    const looks = [
      [[100n, 50n], 900n],
      [[110n, 50n], 900n],
      [[120n, 50n], 900n],
    ] as const;
    expect(owner(looks, [12, 13])).toBe(other(13));
  });

  test.each([
    ['two threads ran equally long', [53n, 53n], 897n],
    ['no thread ran so long', [53n, 52n], 800n],
    ['the timer does not run', [53n, 52n], 0n],
  ])('an owner that does not show is refused: %s', (_, used, left) => {
    const looks = [
      [[100n, 50n, 50n], 900n],
      [[110n, ...used], left],
      [[120n, ...used], left],
    ] as const;
    expect(() => owner(looks)).toThrow(expect.objectContaining({ code: 'CRTS_TIMER_CLOCK', kind: 'refused' }));
  });

  test('the threads may be asked first; before all have run nothing is said', () => {
    const task = frozen(timerOf(THREAD_CLOCK), [12, 13]);
    const looks: Buffer[] = [];
    Object.assign(task, {
      run: (build: (program: Program) => void) => {
        const left = times([0n, 0n], [9n, 9n]);
        looks.push(left);
        build(answering([timespec.encode({}), timespec.encode({}), left]));
      },
    });
    refusePosix(task);
    const read = dumpPosix(task, answering([times([0n, 0n], [9n, 9n])]));
    for (const thread of task.threads) noteThread(thread);
    expect(looks).toHaveLength(1);
    expect(read()[0]!.clock_id).toBe(other(13));
    expect(looks).toHaveLength(3);
  });

  test('with one thread nothing is looked at', () => {
    const task = frozen(timerOf(THREAD_CLOCK));
    refusePosix(task);
    expect(dumpPosix(task, answering([times([0n, 0n], [0n, 0n])]))()[0]!.clock_id).toBe(0xffff_fffe);
  });
});

const TIMER = {
  it_id: 3,
  clock_id: 1,
  si_signo: 34,
  it_sigev_notify: 0,
  sival_ptr: 7n,
  overrun: 0,
  isec: 0n,
  insec: 0n,
  vsec: 100n,
  vnsec: 0n,
};

function compile(timers: readonly object[], restoresIds = true) {
  const program = new ProgramBuilder();
  const heads: PassHead[] = [];
  const steps: ((step: HostStepContext) => void)[] = [];
  const warnings: string[] = [];
  const plan = {
    pid: 12,
    pass: (head: PassHead, emit: (into: Program) => void) => {
      heads.push(head);
      emit(program);
    },
    hostStep: (head: PassHead, run: (step: HostStepContext) => void) => {
      heads.push(head);
      steps.push(run);
    },
  } as unknown as TaskPlan;
  const log = { warn: (_: object, text: string) => warnings.push(text) } as unknown as Logger;
  planPosix(timers as never, plan, log, () => restoresIds);
  return { program, heads, steps, warnings, text: program.text() };
}

describe('plan', () => {
  test('this kernel is asked', () => {
    expect(typeof kernelRestoresIds()).toBe('boolean');
  });

  test('without timers there is no pass', () => {
    expect(compile([]).heads).toEqual([]);
  });

  test('numbers are asked for, ascending; a timer that was disarmed stays so', () => {
    const { text, heads, program } = compile([
      { ...TIMER, it_id: 9, vsec: 0n },
      { ...TIMER, it_id: 3, it_sigev_notify: 4, notify_thread_id: 13 },
    ]);
    expect(heads).toMatchObject([{ stage: 'resume', provides: ['posix-timers'] }]);
    expect(text.map((line) => line.replace(/(out)?<\w+( bytes)?>/g, 'data'))).toEqual([
      'prctl(77, 1, 0, 0, 0)',
      'store(&data+0, 3, 4)',
      'timer_create(1, &data, &data)',
      'store(&data+0, 9, 4)',
      'timer_create(1, &data, &data)',
      'prctl(77, 0, 0, 0, 0)',
      'timer_settime(3, 0, &data, NULL)',
    ]);
    const event = program.instructions[2]!.args[1] as unknown as { content: Buffer };
    expect(event.content).toEqual(
      sigevent.encode({
        'sigev_value.sival_ptr': 7n,
        sigev_signo: 34,
        sigev_notify: 4,
        '_sigev_un._tid': 13,
      }),
    );
  });

  test('an older kernel counts: timers on the way are made and deleted', () => {
    const { text } = compile([{ ...TIMER, it_id: 2, vsec: 0n }], false);
    expect(text.map((line) => line.slice(0, line.indexOf('(')))).toEqual([
      'timer_create',
      'timer_delete',
      'timer_create',
      'timer_delete',
      'timer_create',
      'timer_getoverrun',
    ]);
    expect(() => compile([{ ...TIMER, it_id: 10_001 }], false)).toThrow(
      expect.objectContaining({ code: 'CRTS_TIMER_IDS' }),
    );
  });

  test('a timer that cannot be made is named', () => {
    const { program } = compile([TIMER]);
    expect(program.instructions[2]!.options.fail!('EAGAIN', -11n)).toMatchObject({
      code: 'CRTS_TIMER_CREATE',
      errno: 'EAGAIN',
      hint: expect.stringContaining('RLIMIT_SIGPENDING'),
    });
  });

  test.each([
    ['two timers of one number', [TIMER, TIMER], 'CRTS_IMAGE_FIELD'],
    ['a number above INT_MAX', [{ ...TIMER, it_id: 2 ** 31 }], 'CRTS_IMAGE_FIELD'],
    ['an unknown notification', [{ ...TIMER, it_sigev_notify: 3 }], 'CRTS_IMAGE_FIELD'],
    ['signal 0', [{ ...TIMER, si_signo: 0 }], 'CRTS_IMAGE_FIELD'],
    ['signal 65', [{ ...TIMER, si_signo: 65 }], 'CRTS_IMAGE_FIELD'],
    ['no thread to signal', [{ ...TIMER, it_sigev_notify: 4 }], 'CRTS_IMAGE_FIELD'],
    ['a second of 10^9 ns', [{ ...TIMER, vnsec: 1_000_000_000n }], 'CRTS_IMAGE_FIELD'],
    ['an interval of 2^62 s', [{ ...TIMER, isec: 1n << 62n }], 'CRTS_IMAGE_FIELD'],
    ['an unknown clock', [{ ...TIMER, clock_id: 12 }], 'CRTS_IMAGE_FIELD'],
    ['an overrun of 2^31', [{ ...TIMER, overrun: 2 ** 31 }], 'CRTS_IMAGE_FIELD'],
    ['the clock of process 1', [{ ...TIMER, clock_id: ((~1 << 3) | 2) >>> 0 }], 'CRTS_TIMER_CLOCK'],
  ])('an image with %s', (_, timers, code) => {
    expect(() => compile(timers)).toThrow(expect.objectContaining({ code }));
  });

  test('where no signal is sent any number is good', () => {
    expect(() => compile([{ ...TIMER, it_sigev_notify: 1, si_signo: 12345 }])).not.toThrow();
  });
});

describe('an overrun', () => {
  const HOUR = 3600n;
  const MISSED = { ...TIMER, clock_id: 0, overrun: 7, isec: HOUR, vsec: 100n };

  /** Runs the host step with a clock and pending signals; gives the programs that it ran. */
  function run(timer: object, now = 100n * HOUR, pending = 0n) {
    const { steps, warnings, text } = compile([timer]);
    expect(text.some((line) => line.startsWith('timer_settime'))).toBe(false);
    const programs: ProgramBuilder[] = [];
    const clock = Buffer.alloc(16);
    clock.writeBigUInt64LE(now);
    const signals = Buffer.alloc(8);
    signals.writeBigUInt64LE(pending);
    const step = {
      run: (build: (program: Program) => void) => {
        const program = new ProgramBuilder();
        const outputs = [clock, signals];
        program.out = ((sizeBytes: number) => ({
          sizeBytes,
          kind: 'data',
          read: () => outputs[sizeBytes === 16 ? 0 : 1],
        })) as never;
        build(program);
        programs.push(program);
      },
    } as unknown as HostStepContext;
    for (const action of steps) action(step);
    return { warnings, last: programs.at(-1)! };
  }
  const value = (program: ProgramBuilder) =>
    itimerspec.get((program.instructions[0]!.args[2] as unknown as { content: Buffer }).content, 'it_value.tv_sec');

  test('is made by a timer that was due so many intervals ago', () => {
    const { last, warnings } = run(MISSED);
    expect(last.instructions.map(({ name }) => name)).toEqual(['timer_settime', 'rt_sigtimedwait']);
    expect(last.instructions[0]!.args[1]).toBe(1);
    expect(value(last)).toBe(100n * HOUR + 100n - 8n * HOUR);
    expect(warnings).toEqual([]);
  });

  test.each([
    ['another signal of that number waits', MISSED, 100n * HOUR, 1n << 33n],
    ['the clock is too young', MISSED, 2n * HOUR, 0n],
    ['the clock counts CPU time', { ...MISSED, clock_id: 0xffff_fffa }, 100n * HOUR, 0n],
    ['one thread is signalled', { ...MISSED, it_sigev_notify: 4, notify_thread_id: 12 }, 100n * HOUR, 0n],
  ])('is reported lost where %s; the timer runs all the same', (_, timer, now, pending) => {
    const { last, warnings } = run(timer, now, pending);
    expect(last.instructions.map(({ name, args }) => [name, args[1]])).toEqual([['timer_settime', 0]]);
    expect(value(last)).toBe(100n);
    expect(warnings).toHaveLength(1);
  });
});
