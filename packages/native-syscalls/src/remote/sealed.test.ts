// Programs that were encoded when they were compiled, on the real kernel.
import { existsSync, readFileSync } from 'node:fs';
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

/** Below the newest ones: what comes next is taken by whoever forks next on this machine, what is free below waits for the wrap-around. */
function freeTids(count: number): number[] {
  const tids: number[] = [];
  for (let tid = stub.hostPid - 1; tids.length < count; tid--) if (!existsSync(`/proc/${tid}`)) tids.push(tid);
  return tids;
}

test('threads run sealed programs', () => {
  const sealer = new Sealer(LIMIT);
  const threads = freeTids(3).map((tid, index) => {
    const n = index + 1;
    const program = new ProgramBuilder();
    const result = program.call('gettid', []);
    program.call('close', [-n], n === 2 ? {} : { expect: 'any' });
    sealer.sealThread(program, () => {
      const again = new ProgramBuilder();
      again.call('gettid', []);
      again.call('close', [-n], { what: 'close nothing' });
      return again;
    });
    return { tid, program, result };
  });
  expect(() => stub.createThreads(threads)).toThrow(
    expect.objectContaining({ pid: threads[1]!.tid, what: 'close nothing', errno: 'EBADF' }),
  );
  expect(threads[2]!.result.value).toBe(BigInt(threads[2]!.tid));
});

test('a program that differs in arguments is a copy of the one before with these written over', () => {
  const sealer = new Sealer(LIMIT);
  const name = (program: ProgramBuilder, text: string) => {
    program.call('prctl', [15, program.cstring(text)]);
  };
  const first = new ProgramBuilder();
  name(first, 'first');
  first.call('getpid', []);
  first.call('close', [-1], { expect: 'any' });
  const model = sealer.sealThread(first, noRecall, [0, 1, 2])!;
  const part = (build: (program: ProgramBuilder) => void) => {
    const program = new ProgramBuilder();
    build(program);
    return program.instructions;
  };
  const named = part((program) => name(program, 'second'));
  const closing = part((program) => program.call('close', [-2], { what: 'close nothing' }));
  const recall = () => {
    const again = new ProgramBuilder();
    name(again, 'second');
    again.call('getpid', []);
    again.call('close', [-2], { what: 'close nothing' });
    return again;
  };
  const changes = [
    { part: 0, instructions: named },
    { part: 2, instructions: closing },
  ];
  const second = sealer.sealLike(model, changes, recall)!;
  stub.task.run(first);
  expect(() => stub.task.run(second)).toThrow(expect.objectContaining({ what: 'close nothing', errno: 'EBADF' }));
  expect(named[0]!.result.value).toBe(0n);
  expect(readFileSync(`/proc/${stub.hostPid}/comm`, 'utf8')).toBe('second\n');
});

test.each<[string, (program: ProgramBuilder) => void]>([
  ['another call', (program) => void program.call('dup', [1])],
  ['another number of calls', () => undefined],
  ['longer data', (program) => void program.call('close', [program.bytes(Buffer.alloc(40))])],
  ['an output', (program) => void program.call('close', [program.out(8)])],
])('%s does not go over what a model has', (_, build) => {
  const sealer = new Sealer(LIMIT);
  const program = new ProgramBuilder();
  program.call('close', [program.bytes(Buffer.alloc(8))]);
  const model = sealer.sealThread(program, noRecall, [0])!;
  const part = new ProgramBuilder();
  build(part);
  expect(sealer.sealLike(model, [{ part: 0, instructions: part.instructions }], noRecall)).toBeUndefined();
});

test('data that two parts name is not written over for one of them', () => {
  const sealer = new Sealer(LIMIT);
  const program = new ProgramBuilder();
  for (let count = 0; count < 2; count++) program.call('prctl', [15, program.cstring('both')]);
  const model = sealer.sealThread(program, noRecall, [0, 1])!;
  const part = new ProgramBuilder();
  part.call('prctl', [15, part.cstring('mine')]);
  expect(sealer.sealLike(model, [{ part: 0, instructions: part.instructions }], noRecall)).toBeUndefined();
});
