import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { PidfdEntry } from '@crts/image-io';
import { closeFd, ProgramBuilder, pidfdOpen, rawSyscall, syscall } from '@crts/native-syscalls';
import type { FdDumpContext, FdFacts, FdGroupContext, FdPlanContext, FileRecord, FrozenTask } from '@crts/plugin-api';
import { deadProcess, exitStatusOf } from './dead-process';
import { pidfdHandler } from './handler';

const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };
const O_NONBLOCK = 0o4000;
const PIDFD_THREAD = 0o200;
/** cat /proc/PID/fdinfo/FD on Linux 6.18. */
const fdinfo = (pid: number, nspid = `${pid}`) =>
  `pos:\t0\nflags:\t02000002\nmnt_id:\t4\nino:\t921636\nPid:\t${pid}\nNSpid:\t${nspid}\n`;
const fd = (more: Partial<FdFacts> = {}): FdFacts =>
  ({
    ...{ pid: 12, fd: 3, local: -1, link: 'anon_inode:[pidfd]', ino: 0x1_0000_0007n, flags: 2 },
    ...{ fdinfo: fdinfo(4012, '4012\t12'), ...more },
  }) as FdFacts;
const record = (more: Partial<PidfdEntry> = {}): FileRecord => ({
  type: 20,
  field: 'pidfd',
  value: { id: 7, ino: 7, flags: 0, nspid: 12, fown, ...more },
});

function dump(facts: FdFacts): FileRecord {
  const after: (() => void)[] = [];
  const task = { pid: 12, hostPid: 4012, threads: [{ hostTid: 4012 }, { hostTid: 4013 }] } as unknown as FrozenTask;
  const other = { pid: 20, hostPid: 4020, threads: [{ hostTid: 4020 }] } as unknown as FrozenTask;
  const context = {
    id: 7,
    fown,
    task,
    descriptors: [{ task: other }],
    processes: new Set([4012, 4020, 4030]),
    afterAll: (one: () => void) => after.push(one),
  };
  const made = pidfdHandler.dump(facts, context as unknown as FdDumpContext);
  for (const action of after) action();
  return made;
}

function plan(...entries: Partial<PidfdEntry>[]): string[] {
  const program = new ProgramBuilder();
  for (const more of entries) pidfdHandler.collect!(record(more), {} as FdPlanContext);
  pidfdHandler.planGroup!(entries.map(record), program, {} as FdGroupContext);
  return program.text();
}

test('pidfds are matched, other anonymous inodes are not', () => {
  expect(pidfdHandler.match(fd())).toBe(10);
  expect(pidfdHandler.match(fd({ link: 'anon_inode:[eventfd]' }))).toBe(0);
});

test('a process of the dump, by its number in its own namespace', () => {
  expect(dump(fd({ flags: O_NONBLOCK | 2 }))).toEqual(record({ flags: O_NONBLOCK }));
  expect(dump(fd({ fdinfo: fdinfo(4020, '20') }))).toEqual(record({ nspid: 20 }));
  expect(dump(fd({ fdinfo: fdinfo(4030, '30') }))).toEqual(record({ nspid: 30 }));
  expect(dump(fd({ flags: PIDFD_THREAD | 2 }))).toEqual(record({ flags: PIDFD_THREAD }));
});

test.each([
  ['a process outside', { fdinfo: fdinfo(4711) }, 'CRTS_PIDFD_FOREIGN'],
  ['a process of another namespace', { fdinfo: fdinfo(0) }, 'CRTS_PIDFD_FOREIGN'],
  ['a thread', { fdinfo: fdinfo(4013), flags: PIDFD_THREAD | 2 }, 'CRTS_PIDFD_THREAD'],
  ['nobody knows whom', { fdinfo: 'pos:\t0\n' }, 'CRTS_FDINFO'],
])('one of %s is refused', (_what, more, code) => {
  expect(() => dump(fd(more))).toThrow(expect.objectContaining({ code, kind: 'refused', pid: 12, fd: 3 }));
});

test('opened by number', () => {
  expect(plan({ flags: O_NONBLOCK | PIDFD_THREAD })).toEqual(['pidfd_open(12, 2176)']);
});

test('those of one process that is gone belong together', () => {
  expect(pidfdHandler.group!(record(), {} as FdPlanContext)).toBeUndefined();
  expect(pidfdHandler.group!(record({ nspid: -1 }), {} as FdPlanContext)).toBe('pidfd:7');
  expect(plan({ nspid: -1 }, { nspid: -1, crts_exit_status: 9 })).toEqual([
    'receive_fd(descriptor of another task)',
    'receive_fd(descriptor of another task)',
  ]);
});

test.each([
  ['exit(3)', 0x300],
  ['SIGTERM', 15],
  ['SIGSEGV, without a core', 11],
])('a stand-in that ends by %s', (_how, status) => {
  const late = deadProcess(status, [0, O_NONBLOCK]);
  const [first, second] = late.map((one) => one.take());
  const told = [first!, second!].map((one) => exitStatusOf(one));
  // Before Linux 6.15 nobody says.
  if (told[0] !== undefined) expect(told).toEqual([status, status]);
  expect(readFileSync(`/proc/self/fdinfo/${first}`, 'utf8')).toMatch(/^Pid:\s+-1$/m);
  expect(syscall('fcntl', second!, 3, 0) & O_NONBLOCK).toBe(O_NONBLOCK);
  const inodes = [first, second].map(
    (one) => /^ino:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${one}`, 'utf8'))![1],
  );
  expect(inodes[0]).toBe(inodes[1]);
  for (const one of late) one.sent();
  expect(rawSyscall('fcntl', first!, 3, 0)).toBe(-9);
});

test('how a process ended is told when it was waited for', async () => {
  const child = spawn('/bin/sh', ['-c', 'read line; exit 7'], { stdio: ['pipe', 'ignore', 'ignore'] });
  const pidfd = pidfdOpen(child.pid!);
  expect(exitStatusOf(pidfd)).toBeUndefined();
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.stdin!.end('\n');
  await gone;
  expect([undefined, 0x700]).toContain(exitStatusOf(pidfd));
  expect(dump(fd({ local: pidfd, fdinfo: fdinfo(-1) })).value).toMatchObject({ nspid: -1, ino: 7 });
  closeFd(pidfd);
});

test.each([
  ['process 0', { nspid: 0 }],
  ['a process that none is', { nspid: 2 ** 22 + 1 }],
  ['an exit status that none is', { nspid: -1, crts_exit_status: 0x10000 }],
])('an image with %s is refused', (_what, more) => {
  expect(() => plan(more)).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }));
});
