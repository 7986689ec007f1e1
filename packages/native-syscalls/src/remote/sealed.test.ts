// Programs that were encoded when they were compiled, on the real kernel.
import { CrtsError, plus } from '@crts/plugin-api';
import { rawSyscall } from '../syscall';
import { waitPid } from '../wait';
import { ProgramBuilder } from './program-builder';
import { type Recall, Sealer } from './sealed';
import { launchStub, type StubTask, stubAreaSize } from './stub';

const start = 0x2000_0000_0000n;
const LIMIT = 64 * 1024;
const noRecall: Recall = () => undefined;

let stub: StubTask;
beforeEach(() => {
  stub = launchStub({ pid: 0, flags: 0n, area: { start, end: start + stubAreaSize(LIMIT) }, doorbellNumber: 50 });
});
afterEach(() => {
  rawSyscall('kill', stub.hostPid, 9);
  waitPid(stub.hostPid);
  stub.close();
});

function sealed(build: (program: ProgramBuilder) => void, recall: Recall = noRecall, sealer = new Sealer(LIMIT)) {
  const program = new ProgramBuilder();
  build(program);
  sealer.seal(program, recall);
  expect(program.instructions).toEqual([]);
  return program;
}

test('results, outputs and stores of a sealed program are there when it ran', () => {
  let pid: { value: bigint } | undefined;
  let text: { read(): Buffer } | undefined;
  const program = sealed((program) => {
    pid = program.call('getpid', []);
    const pair = program.out(8);
    program.call('pipe2', [pair, 0]);
    const message = program.bytes(Buffer.from('....'));
    program.store(message, 0, pid as never, 4);
    program.call('write', [pair.u32(4), message, 4]);
    const into = program.out(4);
    program.call('read', [pair.u32(0), into, 4]);
    text = into;
  });
  expect(() => pid!.value).toThrow(/only after its program ran/);
  expect(() => program.call('getpid', [])).toThrow(/sealed/);
  stub.task.run(program);
  expect(pid!.value).toBe(BigInt(stub.hostPid));
  expect(text!.read().readUInt32LE(0)).toBe(stub.hostPid);
});

test('what an earlier program made is known to a later one, sealed before either ran', () => {
  const sealer = new Sealer(LIMIT);
  let fd: ReturnType<ProgramBuilder['call']> | undefined;
  let pair: ReturnType<ProgramBuilder['out']> | undefined;
  let sum: { value: bigint } | undefined;
  const first = sealed(
    (program) => {
      fd = program.call('eventfd2', [5, 0]);
      pair = program.out(8);
      program.call('pipe2', [pair, 0]);
    },
    noRecall,
    sealer,
  );
  const second = sealed(
    (program) => {
      program.call('close', [fd!]);
      sum = program.call('lseek', [plus(fd!, 1n), 0, 0], { expect: 'any' });
      program.call('close', [pair!.u32(0)]);
      program.call('close', [pair!.u32(4)]);
    },
    noRecall,
    sealer,
  );
  stub.task.run(first);
  stub.task.run(second);
  // ESPIPE: the pipe, which came after the counter.
  expect(sum!.value).toBe(-29n);
});

test('a sealed program larger than its arena runs in several batches', () => {
  let last: { value: bigint } | undefined;
  const program = sealed((program) => {
    const fd = program.call('dup', [50]);
    for (let i = 0; i < 2000; i++) last = program.call('fcntl', [fd, 1, null], { expect: 0 });
    program.call('close', [fd]);
  });
  expect(program.sealed!.batches.length).toBeGreaterThan(1);
  expect(program.sealed!.count).toBe(2002);
  stub.task.run(program);
  expect(last!.value).toBe(0n);
});

describe('a failure', () => {
  const failing = (program: ProgramBuilder): void => {
    program.origin = { plugin: 'fd-x', stage: 'resources', what: 'open it' };
    for (let i = 0; i < 1000; i++) program.call('getpid', []);
    const pid = program.call('getpid', []);
    program.call('openat', [-100, program.cstring('/nowhere'), 0, 0], {
      fail: (errno) => new CrtsError({ code: 'CRTS_X', what: `of ${pid.value}`, errno }),
    });
  };

  test('is told by the same program, compiled again', () => {
    let compiled = 0;
    const program = sealed(failing, () => {
      compiled += 1;
      const again = new ProgramBuilder();
      failing(again);
      return again;
    });
    expect(() => stub.task.run(program)).toThrow(
      expect.objectContaining({
        code: 'CRTS_X',
        plugin: 'fd-x',
        errno: 'ENOENT',
        message: expect.stringContaining(`of ${stub.hostPid}`),
      }),
    );
    expect(compiled).toBe(1);
  });

  test.each<[string, Recall]>([
    ['which cannot be compiled any more', noRecall],
    [
      'which is another one now',
      () => {
        const other = new ProgramBuilder();
        for (let i = 0; i < 1002; i++) other.call('gettid', []);
        return other;
      },
    ],
  ])('of a program %s has the call and its errno', (_, recall) => {
    expect(() => stub.task.run(sealed(failing, recall))).toThrow(
      expect.objectContaining({ code: 'CRTS_CALL_FAILED', call: 'system call 257', errno: 'ENOENT' }),
    );
  });
});

test('threads run sealed programs', () => {
  const sealer = new Sealer(LIMIT);
  const threads = [1, 2, 3].map((n) => {
    const program = new ProgramBuilder();
    const result = program.call('gettid', []);
    program.call('close', [-n], n === 2 ? {} : { expect: 'any' });
    sealer.sealThread(program, () => {
      const again = new ProgramBuilder();
      again.call('gettid', []);
      again.call('close', [-n], { what: 'close nothing' });
      return again;
    });
    return { tid: stub.hostPid + n, program, result };
  });
  expect(() => stub.createThreads(threads)).toThrow(
    expect.objectContaining({ pid: stub.hostPid + 2, what: 'close nothing', errno: 'EBADF' }),
  );
  expect(threads[2]!.result.value).toBe(BigInt(stub.hostPid + 3));
});
