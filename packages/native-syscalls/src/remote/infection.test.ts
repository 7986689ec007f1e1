// An agent that cannot be had, or is held up: the task is none the worse.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as native from '../index';
import { examine } from './threads.fixture';

const RLIMIT_NOFILE = 7;
const directory = mkdtempSync(join(tmpdir(), 'crts-infection-'));
const busy = join(directory, 'busy');
let program: ChildProcess & { readonly pid: number };
let text = '';
let ended: Promise<unknown>;

beforeAll(() => {
  const source = join(__dirname, '../../../../e2e/programs/crowd.c');
  execFileSync('cc', ['-O1', '-pthread', '-mfsgsbase', '-o', busy, source, '-lm']);
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

beforeEach(async () => {
  rmSync(join(directory, 'go'), { force: true });
  text = '';
  program = spawn(busy, [join(directory, 'go'), '2'], { stdio: ['ignore', 'pipe', 'inherit'] }) as typeof program;
  ended = new Promise((resolve) => program.once('close', resolve));
  await new Promise<void>((resolve) => {
    program.stdout!.on('data', (bytes) => {
      text += bytes;
      if (text.includes('ready')) resolve();
    });
  });
});

afterEach(() => program.kill('SIGKILL'));

async function finish(): Promise<void> {
  writeFileSync(join(directory, 'go'), '');
  await ended;
  expect(text).toBe('ready\nEXIT-SUCCESS\n');
}

function look() {
  const maps = readFileSync(`/proc/${program.pid}/maps`, 'utf8').split('\n');
  return { executable: maps.filter((line) => / ..x. /.test(line)), fds: readdirSync(`/proc/${program.pid}/fd`) };
}

/** Returns the soft limit of before. */
function limitFds(pid: number, soft: bigint): bigint {
  const limit = new BigUint64Array(2);
  native.syscall('prlimit64', pid, RLIMIT_NOFILE, null, limit);
  native.syscall('prlimit64', pid, RLIMIT_NOFILE, new BigUint64Array([soft, limit[1]!]), null);
  return limit[0]!;
}

test.each([
  ['with a way back of its own', native],
  ['without', { ...native, findGadgets: () => ({ restorer: undefined, syscallRet: undefined }) }],
])('the task has no descriptor left, %s', async (_, api) => {
  const before = look();
  const soft = limitFds(program.pid, 3n);
  expect(() => examine(api as typeof native, program.pid, () => undefined)).toThrow(/socketpair/);
  limitFds(program.pid, soft);
  expect(look()).toEqual(before);
  await finish();
});

test('the engine has one descriptor too few', async () => {
  const before = look();
  examine(native, program.pid, () => undefined);
  const free = [0, 1, 2, 3].map(() => openSync('/dev/null', 'r'));
  for (const fd of free) closeSync(fd);
  // Three for the task, one for the doorbell.
  const soft = limitFds(0, BigInt(free[3]! + 1));
  try {
    expect(() => examine(native, program.pid, () => undefined)).toThrow(expect.objectContaining({ errno: 'EMFILE' }));
  } finally {
    limitFds(0, soft);
  }
  expect(look()).toEqual(before);
  await finish();
});

test('SIGSTOP comes while the agent is in: its program is run, and the task is stopped afterwards', async () => {
  const { pid } = program;
  examine(native, pid, (infection) => {
    process.kill(pid, 'SIGSTOP');
    infection.task.run((ask) => void ask.call('getpid', [], { expect: pid }));
  });
  while (!/^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')));
  process.kill(pid, 'SIGCONT');
  await finish();
});
