import { ProgramBuilder } from '@crts/native-syscalls';
import { dumpedCore, exitProgram, prepareCore } from './dead-tasks';

let pattern = 'core';
jest.mock('node:fs', () => ({
  ...jest.requireActual('node:fs'),
  readFileSync: () => `${pattern}\n`,
  writeFileSync: () => undefined,
}));

const text = (program: ProgramBuilder) => program.text().map((line) => line.replace(/&<[^>]*>/g, 'data'));
const SEGV = 11;
const CORE = 0x80;

test('an exit status', () => {
  expect(text(exitProgram('a', 0x0300, false))).toEqual(['prctl(15, "a")', 'exit_group(3)']);
});

test('whose it is, before its end; one that dumps core keeps its effective ids for that', () => {
  const ids = { real: 5, effective: 6, saved: 7, filesystem: 6 };
  const calls = (room: boolean) =>
    text(exitProgram('a', 0x0300, room, { uids: ids, gids: { ...ids, real: 8 } })).slice(1, 3);
  expect(calls(false)).toEqual(['setresgid(8, 6, 7) = any', 'setresuid(5, 6, 7) = any']);
  expect(calls(true)).toEqual(['setresgid(8, -1, 7) = any', 'setresuid(5, -1, 7) = any']);
});

test('a signal, with and without a core', () => {
  const limits = [false, true].map((room) => {
    const program = exitProgram('a', SEGV | CORE, room);
    const set = program.instructions.find(({ name }) => name === 'prlimit64')!;
    return (set.args[2] as unknown as { content: Buffer }).content;
  });
  expect(limits[0]).toEqual(Buffer.alloc(16));
  // As high as may be.
  expect(limits[1]!.subarray(0, 8)).toEqual(limits[1]!.subarray(8));
  expect([SEGV, SEGV | CORE, 0x0300].map(dumpedCore)).toEqual([false, true, false]);
});

/** Calls of the task, or undefined where it is not asked. */
function prepared(given: string, failing = false): readonly string[] | undefined {
  pattern = given;
  let calls: readonly string[] | undefined;
  const run = (build: (program: ProgramBuilder) => void) => {
    if (failing) throw Object.assign(new Error('no'), { code: 'EPERM' });
    const program = new ProgramBuilder();
    build(program);
    calls = program.text().map((line) => /^\w+/.exec(line)![0]);
  };
  expect(prepareCore({ hostPid: 1, task: { run } } as never)).toBe(calls !== undefined);
  return calls;
}

const ROOM = ['fsopen', 'fsconfig', 'fsmount', 'fchdir', 'chroot'];

test.each([
  ['core', ROOM],
  ['core.%p', ROOM],
  ['/var/crash/core', [...ROOM, 'mkdir', 'mkdir']],
  ['|/usr/bin/collect %P', undefined],
  ['@/run/collect', undefined],
  ['', undefined],
])('core_pattern "%s"', (given, calls) => {
  expect(prepared(given)).toEqual(calls);
});

test('no tmpfs to be had', () => {
  expect(prepared('core', true)).toBeUndefined();
});
