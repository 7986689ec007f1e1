// Programs on the real kernel: a thread of another process is entered, made to call, and left as it was.
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CrtsError, plus } from '@crts/plugin-api';
import { rawSyscall } from '../syscall';
import { waitPid } from '../wait';
import { findFreeArea } from './area';
import { encodeBatch } from './encoder';
import { ProgramBuilder } from './program-builder';
import * as protocol from './protocol';
import { getReg, restartAdjusted, setReg, USER_REGS_SIZE } from './registers';
import { launchStub, stubAreaSize } from './stub';

test('protocol.ts has the numbers of native/include/protocol.h', () => {
  const header = readFileSync(join(__dirname, '../../../../native/include/protocol.h'), 'utf8');
  const number = (name: string) => BigInt(new RegExp(`#define ${name} (0x[0-9a-f]+|\\d+)`).exec(header)![1]!);
  expect(number('CRTS_PROTOCOL')).toBe(BigInt(protocol.PROTOCOL));
  for (const [name, value] of Object.entries(protocol.OP)) expect(number(`AGENT_OP_${name}`)).toBe(BigInt(value));
  for (const [name, value] of Object.entries(protocol.ARG)) expect(number(`AGENT_ARG_${name}`)).toBe(BigInt(value));
  for (const [name, value] of Object.entries(protocol.REQUEST))
    expect(number(`AGENT_REQUEST_${name}`)).toBe(BigInt(value));
  expect(number('AGENT_SUM_BITS')).toBe(BigInt(protocol.SUM_BITS));
  expect(number('AGENT_MARK_READY')).toBe(protocol.MARK_READY);
  expect(number('AGENT_MAX_FDS')).toBe(BigInt(protocol.MAX_FDS));
});

test("words are encoded in two's complement and never rounded", () => {
  const program = new ProgramBuilder();
  program.call('lseek', [-1, 2n ** 63n, -(2 ** 40), null]);
  const arena = Buffer.alloc(4096);
  encodeBatch(program.instructions, 0, arena, arena.length);
  const arg = (index: number) => arena.readBigInt64LE(protocol.INSTRUCTION.arg + 8 * index);
  expect([arg(0), arg(1), arg(2), arg(3)]).toEqual([-1n, -(2n ** 63n), -(2n ** 40n), 0n]);
  const unsafe = new ProgramBuilder();
  unsafe.call('lseek', [2 ** 53]);
  expect(() => encodeBatch(unsafe.instructions, 0, arena, arena.length)).toThrow(/no safe integer/);
});

test('an interrupted call is made again, a finished one is not', () => {
  const regs = Buffer.alloc(USER_REGS_SIZE);
  setReg(regs, 'orig_rax', 35n);
  setReg(regs, 'rip', 1000n);
  setReg(regs, 'rax', -516n);
  expect([getReg(restartAdjusted(regs), 'rax'), getReg(restartAdjusted(regs), 'rip')]).toEqual([35n, 998n]);
  setReg(regs, 'rax', -4n);
  expect(getReg(restartAdjusted(regs), 'rip')).toBe(1000n);
  setReg(regs, 'rax', -512n);
  setReg(regs, 'orig_rax', -1n);
  expect(getReg(restartAdjusted(regs), 'rip')).toBe(1000n);
});

test('a free area keeps its distance', () => {
  const taken = [{ start: 0x2000_0000_0000n, end: 0x2000_0010_0000n }];
  const area = findFreeArea(taken, 0x1000n)!;
  expect(area - taken[0]!.end).toBeGreaterThanOrEqual(0x20_0000n);
  expect(findFreeArea([{ start: 0n, end: 0x7fff_ffff_f000n }], 0x1000n)).toBeUndefined();
});

describe('a stub', () => {
  const start = 0x2000_0000_0000n;
  const area = { start, end: start + stubAreaSize(64 * 1024) };
  const launch = () => launchStub({ pid: 0, flags: 0n, area, doorbellNumber: 50 });
  const end = (stub: ReturnType<typeof launch>) => {
    rawSyscall('kill', stub.hostPid, 9);
    waitPid(stub.hostPid);
    stub.close();
  };

  test('runs programs: results, outputs, loads, stores, descriptors', () => {
    const stub = launch();
    const file = openSync(__filename, 'r');
    try {
      let pid: { value: bigint } | undefined;
      let name: { read(): Buffer } | undefined;
      let text: { read(): Buffer } | undefined;
      stub.task.run((program) => {
        pid = program.call('getpid', []);
        const pair = program.out(8);
        program.call('pipe2', [pair, 0]);
        const word = program.bytes(Buffer.from('hello'));
        program.call('write', [pair.u32(4), word, 5], { expect: 5 });
        text = program.out(5);
        program.call('read', [pair.u32(0), text as never, 5], { expect: 5 });
        const own = program.receiveFd(file);
        program.moveFd(own, 7, true);
        program.call('lseek', [7, 3, 0], { expect: 3 });
        name = program.out(400);
        program.call('uname', [name as never]);
      });
      expect(pid!.value).toBe(BigInt(stub.hostPid));
      expect(text!.read().toString()).toBe('hello');
      expect(name!.read().toString('latin1', 0, 5)).toBe('Linux');
      // The doorbell and what the program made are all that it has.
      expect(
        execFileSync('ls', [`/proc/${stub.hostPid}/fd`], { encoding: 'utf8' })
          .trim()
          .split('\n')
          .sort(),
      ).toEqual(['0', '1', '50', '7']);
    } finally {
      closeSync(file);
      end(stub);
    }
  });

  test('stops at the first unmet expectation and says which', () => {
    const stub = launch();
    try {
      const program = new ProgramBuilder();
      program.origin = { plugin: 'fd-x', stage: 'resources' };
      program.call('getpid', []);
      program.call('openat', [-100, program.cstring('/no/such/file'), 0, 0], { what: 'open it' });
      const after = program.call('getpid', []);
      expect(() => stub.task.run(program)).toThrow(
        /fd-x: pid \d+: open it: openat\(AT_FDCWD, "\/no\/such\/file", 0, 0\): ENOENT \[CRTS_CALL_FAILED\]/,
      );
      expect(() => after.value).toThrow();
    } finally {
      end(stub);
    }
  });

  test('runs programs larger than its arena in several batches', () => {
    const stub = launch();
    try {
      const program = new ProgramBuilder();
      const first = program.call('getpid', []);
      const results = Array.from({ length: 5000 }, () => program.call('dup2', [50, 50], { expect: 50 }));
      const last = program.call('kill', [first, 0]);
      stub.task.run(program);
      expect(results.every((result) => result.value === 50n)).toBe(true);
      expect(last.value).toBe(0n);
    } finally {
      end(stub);
    }
  });

  test('adds a number to a result, in the same batch and in a later one', () => {
    const stub = launch();
    try {
      const program = new ProgramBuilder();
      const map = program.call('mmap', [0, 8192, 3, 0x22, -1, 0]);
      program.call('munmap', [plus(map, 4096n), 4096]);
      const gone = program.call('mincore', [plus(map, 4096n), 4096, program.out(1)], { expect: 'any' });
      program.call('mincore', [map, 4096, program.out(1)], { expect: 0 });
      expect(program.text()[1]).toBe('munmap($0+0x1000, 0x1000)');
      stub.task.run(program);
      expect(gone.value).toBe(-12n);
      stub.task.run((later) => later.call('munmap', [plus(map, 0n), 4096]));
      expect(() => plus(map, 1n << 40n)).toThrow(RangeError);
    } finally {
      end(stub);
    }
  });

  test('exits when the engine lets go', () => {
    const stub = launch();
    stub.close();
    expect(waitPid(stub.hostPid)!.status).toBe(1 << 8);
  });

  test('a pid in use is EEXIST of clone3', () => {
    const child = spawn('sleep', ['100'], { stdio: 'ignore' });
    try {
      expect(() => launchStub({ pid: child.pid!, flags: 0n, area, doorbellNumber: 50 })).toThrow(
        expect.objectContaining({ errno: 'EEXIST', call: expect.stringContaining('clone3') }),
      );
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('a task that dies in a program is an error of its own', () => {
    const stub = launch();
    try {
      stub.task.run((program) => program.call('kill', [program.call('getpid', []), 9]) as never);
      throw new Error('survived');
    } catch (error) {
      expect((error as CrtsError).code).toBe('CRTS_TASK_GONE');
    } finally {
      waitPid(stub.hostPid);
      stub.close();
    }
  });
});
