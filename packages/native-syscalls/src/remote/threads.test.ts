// Programs in many threads of a task on the real kernel: threads of another process, and threads made for a restore.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as native from '../index';
import { type StubTask, StubYard, stubAreaSize } from './stub';
import { askAll, examine } from './threads.fixture';

const directory = mkdtempSync(join(tmpdir(), 'crts-threads-'));
const crowd = join(directory, 'crowd');
jest.setTimeout(120_000);
/** CRTS_KILLS=150 for a thorough run. */
const KILLS = Number(process.env.CRTS_KILLS ?? 20);

beforeAll(() => {
  const source = join(__dirname, '../../../../e2e/programs/crowd.c');
  execFileSync('cc', ['-O1', '-pthread', '-mfsgsbase', '-o', crowd, source, '-lm']);
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

let program: ChildProcess & { readonly pid: number };
let text = '';
let ended: Promise<unknown>;

async function start(threads: number): Promise<number> {
  rmSync(join(directory, 'go'), { force: true });
  text = '';
  program = spawn(crowd, [join(directory, 'go'), String(threads)], { stdio: ['ignore', 'pipe', 'inherit'] }) as never;
  ended = new Promise((resolve) => program.once('close', resolve));
  await new Promise<void>((resolve) => {
    program.stdout!.on('data', (bytes) => {
      text += bytes;
      if (text.includes('ready')) resolve();
    });
  });
  return program.pid;
}

/** Lets the program check itself. */
async function finish(): Promise<void> {
  writeFileSync(join(directory, 'go'), '');
  await ended;
  expect(text).toBe('ready\nEXIT-SUCCESS\n');
}

afterEach(() => {
  program?.kill('SIGKILL');
});

/**
 * SIGUSR2 is blocked by threads of crowd.c, but while they wait for it, and SIGALRM by its own handler: whether, depends on the moment. The
 * threads look after their masks themselves.
 */
const OF_THE_MOMENT = (1n << 11n) | (1n << 13n);

/** Signals blocked by each thread, and what the process has mapped and open. */
function look(pid: number) {
  const maps = readFileSync(`/proc/${pid}/maps`, 'utf8');
  return {
    masks: Object.fromEntries(
      readdirSync(`/proc/${pid}/task`).map((tid) => [
        tid,
        (
          BigInt(`0x${/^SigBlk:\s*(\w+)/m.exec(readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8'))![1]}`) &
          ~OF_THE_MOMENT
        ).toString(16),
      ]),
    ),
    agents: maps.split('\n').filter((line) => line.includes('memfd:crts')).length,
    fds: readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`)),
  };
}

test.each([50, 300])('%s threads are asked and notice nothing', async (count) => {
  const pid = await start(count);
  const before = look(pid);
  for (let round = 0; round < 3; round++) {
    const answers = examine(native, pid, (infection, states) => askAll(native, infection, pid, states));
    expect(answers).toHaveLength(count);
    expect(answers.map(({ id }) => Number(id.value))).toEqual(answers.map(({ tid }) => tid));
    const stacks = answers.map(({ stack }) => stack.read().readBigUInt64LE(0));
    expect(new Set(stacks).size).toBe(count);
    expect(stacks).not.toContain(0n);
  }
  expect(look(pid)).toEqual(before);
  await finish();
});

test('an instruction that fails in one thread is an error that names the thread; all others are themselves', async () => {
  const pid = await start(20);
  const before = look(pid);
  let failing = 0;
  expect(() =>
    examine(native, pid, (infection, states) => {
      const runs = [...states]
        .filter(([tid]) => tid !== pid)
        .map(([tid, state], index) => {
          const run = { tid, state, program: new native.ProgramBuilder() };
          run.program.origin = { plugin: 'task-x', stage: 'dump' };
          if (index === 7) {
            failing = tid;
            run.program.call('prctl', [99999, 0, 0, 0, 0], { what: 'ask for something' });
          }
          return run;
        });
      infection.runThreads(runs);
    }),
  ).toThrow(
    expect.objectContaining({
      code: 'CRTS_CALL_FAILED',
      plugin: 'task-x',
      errno: 'EINVAL',
      get pid() {
        return failing;
      },
    }),
  );
  expect(look(pid)).toEqual(before);
  await finish();
});

test('a program larger than the arena runs in several rounds', async () => {
  const pid = await start(9);
  examine(native, pid, (infection, states) => {
    const runs = [...states]
      .filter(([tid]) => tid !== pid)
      .map(([tid, state]) => {
        const big = new native.ProgramBuilder();
        const first = big.call('gettid', []);
        for (let i = 0; i < 15_000; i++) big.call('getpid', []);
        return { tid, state, program: big, first, last: big.call('tgkill', [pid, first, 0]) };
      });
    infection.runThreads(runs);
    for (const run of runs) expect([Number(run.first.value), Number(run.last.value)]).toEqual([run.tid, 0]);
  });
  await finish();
});

test('a process that is stopped and continued meanwhile stays so', async () => {
  const pid = await start(20);
  examine(native, pid, (infection, states) => {
    askAll(native, infection, pid, states);
    process.kill(pid, 'SIGSTOP');
    askAll(native, infection, pid, states);
  });
  const state = () => readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '')[0];
  expect(state()).toBe('T');
  process.kill(pid, 'SIGCONT');
  await finish();
});

test(`threads survive ${KILLS} kills of the engine at any moment`, async () => {
  const pid = await start(50);
  const before = look(pid);
  // Linear congruential, the same delays in each run.
  let seed = 20261126;
  for (let kill = 0; kill < KILLS; kill++) {
    const engine = spawn(process.execPath, [join(__dirname, 'threads.fixture.js'), String(pid)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const dead = new Promise((resolve) => engine.once('exit', resolve));
    await new Promise((resolve) => engine.stdout!.once('data', resolve));
    seed = (seed * 1103515245 + 12345) % 2147483648;
    await new Promise((resolve) => setTimeout(resolve, (seed / 2147483648) * 60));
    engine.kill('SIGKILL');
    await dead;
    if (program.exitCode !== null || program.signalCode !== null || text.includes('FAIL'))
      throw new Error(`dead after kill ${kill}: ${program.signalCode} ${text}`);
  }
  // Threads let go in their own time.
  for (let wait = 0; wait < 1000; wait++) {
    if (JSON.stringify(look(pid).masks) === JSON.stringify(before.masks)) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  // An engine that dies while threads are in the agent leaves its mapping behind, idle.
  const { masks, fds } = look(pid);
  expect({ masks, fds }).toEqual({ masks: before.masks, fds: before.fds });
  await finish();
}, 300_000);

describe('threads of a restored task', () => {
  const startAt = 0x3000_0000_0000n;
  const area = (bytes: number) => ({ start: startAt, end: startAt + stubAreaSize(bytes) });
  let yard: StubYard;
  let stub: StubTask;

  function launch(bytes: number): void {
    yard = new StubYard({ area: area(bytes), doorbellNumber: 50, spareNumber: 54, agents: 1 }, 1);
    stub = yard.launch(0, 0n);
  }

  afterEach(() => {
    stub.close();
    native.waitPid(stub.hostPid);
    yard.close();
  });

  /** Numbers that nobody has, from the highest down: new processes get the lowest that follow the last. */
  function numbers(count: number): number[] {
    const free: number[] = [];
    for (let tid = Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8')) - 4000; free.length < count; tid -= 3)
      if (native.rawSyscall('kill', tid, 0) === -3) free.push(tid);
    return free.reverse();
  }

  test.each([
    [100, 64 * 1024],
    [1000, 1024 * 1024],
  ])('%s with chosen numbers run their programs (arena of %s bytes)', (count, bytes) => {
    launch(bytes);
    const threads = numbers(count).map((tid) => {
      const own = new native.ProgramBuilder();
      const id = own.call('gettid', []);
      own.call('prctl', [15, own.cstring(`t${tid}`), 0, 0, 0]);
      own.call('sigaltstack', [own.bytes(altStack(BigInt(tid))), null]);
      const stack = own.out(24);
      own.call('sigaltstack', [null, stack]);
      return { tid, program: own, id, stack };
    });
    stub.createThreads(threads);
    expect(threads.map(({ id }) => Number(id.value))).toEqual(threads.map(({ tid }) => tid));
    for (const { tid, stack } of threads) expect(stack.read().readBigUInt64LE(0)).toBe(0x1000_0000n * BigInt(tid));
    expect(readdirSync(`/proc/${stub.hostPid}/task`)).toHaveLength(count + 1);
    for (const { tid } of threads)
      expect(readFileSync(`/proc/${stub.hostPid}/task/${tid}/comm`, 'utf8')).toBe(`t${tid}\n`);
    // The task's own agent still works.
    const after = new native.ProgramBuilder();
    const pid = after.call('getpid', []);
    stub.task.run(after);
    expect(Number(pid.value)).toBe(stub.hostPid);
  });

  /** stack_t: 64 kB at an address that tells whose it is. */
  function altStack(tid: bigint): Buffer {
    const bytes = Buffer.alloc(24);
    bytes.writeBigUInt64LE(0x1000_0000n * tid, 0);
    bytes.writeBigUInt64LE(65536n, 16);
    return bytes;
  }

  test('a number in use is the error that the caller makes of it', () => {
    launch(64 * 1024);
    expect(() =>
      stub.createThreads(
        [{ tid: process.pid, program: new native.ProgramBuilder() }],
        (tid, errno) => new Error(`${tid} is ${errno}`),
      ),
    ).toThrow(`${process.pid} is EEXIST`);
  });

  test('an instruction that fails names its thread', () => {
    launch(64 * 1024);
    const [tid, other] = numbers(2) as [number, number];
    const bad = new native.ProgramBuilder();
    bad.call('close', [999]);
    expect(() =>
      stub.createThreads([
        { tid: other, program: new native.ProgramBuilder() },
        { tid, program: bad },
      ]),
    ).toThrow(expect.objectContaining({ code: 'CRTS_CALL_FAILED', pid: tid, errno: 'EBADF' }));
  });
});
