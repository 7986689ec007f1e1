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

function dump(facts: FdFacts, others: { link: string; fdinfo: string }[] = []): FileRecord {
  const after: (() => void)[] = [];
  const task = { pid: 12, hostPid: 4012, threads: [{ hostTid: 4012 }, { hostTid: 4013 }] } as unknown as FrozenTask;
  const other = { pid: 20, hostPid: 4020, threads: [{ hostTid: 4020 }] } as unknown as FrozenTask;
  const context = {
    id: 7,
    fown,
    task,
    descriptors: [{ link: '', fdinfo: '' }, ...others].map((one) => ({ task: other, facts: one })),
    processes: new Set([4012, 4020, 4030]),
    afterAll: (one: () => void) => after.push(one),
  };
  const made = pidfdHandler.dump(facts, context as unknown as FdDumpContext);
  for (const action of after) action();
  return made;
}

/** Process 12 with a thread 13. */
const images = { items: () => [{ value: { pid: 12, threads: [12, 13] } }] } as unknown as FdPlanContext;

function plan(...entries: Partial<PidfdEntry>[]): string[] {
  const program = new ProgramBuilder();
  for (const more of entries) pidfdHandler.collect!(record(more), images);
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
  ['nobody knows whom', { fdinfo: 'pos:\t0\n' }, 'CRTS_FDINFO'],
])('one of %s is refused', (_what, more, code) => {
  expect(() => dump(fd(more))).toThrow(expect.objectContaining({ code, kind: 'refused', pid: 12, fd: 3 }));
});

test('a thread: kept, but where an epoll or a socket needs it before there are threads', () => {
  const thread = { fdinfo: fdinfo(4013, '13'), flags: PIDFD_THREAD | 2 };
  expect(dump(fd(thread))).toEqual(record({ nspid: 13, flags: PIDFD_THREAD }));
  expect(() => dump(fd({ ...thread, flags: 2 }))).toThrow(expect.objectContaining({ code: 'CRTS_PIDFD_FOREIGN' }));
  expect(() => dump(fd({ ...thread, fd: -1 as never }))).toThrow(
    expect.objectContaining({ code: 'CRTS_PIDFD_THREAD' }),
  );
  const epoll = (ino: string) => [
    {
      link: 'anon_inode:[eventpoll]',
      fdinfo: `tfd:        3 events:       19 data:                3  pos:0 ino:${ino} sdev:f\n`,
    },
  ];
  expect(() => dump(fd(thread), epoll('100000007'))).toThrow(expect.objectContaining({ code: 'CRTS_PIDFD_THREAD' }));
  expect(() => dump(fd(thread), epoll('77'))).not.toThrow();
});

test('a thread is opened by the engine when it is there', () => {
  const late = (more: Partial<PidfdEntry>) => pidfdHandler.late!(record(more), images);
  expect(late({ nspid: 13, flags: PIDFD_THREAD })?.what).toBe('refer to thread 13');
  for (const more of [{ flags: PIDFD_THREAD }, { nspid: 13 }, { nspid: -1, flags: PIDFD_THREAD }])
    expect(late(more)).toBeUndefined();
  const own = { items: () => [{ value: { pid: 12 } }] } as unknown as FdPlanContext;
  const made = pidfdHandler.late!(record({ nspid: process.pid, flags: PIDFD_THREAD | O_NONBLOCK }), own)!.open();
  expect(syscall('fcntl', made, 3, 0) & (O_NONBLOCK | PIDFD_THREAD)).toBe(O_NONBLOCK | PIDFD_THREAD);
  closeFd(made);
  const gone = { nspid: 2 ** 22, flags: PIDFD_THREAD };
  expect(() => late(gone)!.open()).toThrow(expect.objectContaining({ code: 'CRTS_PIDFD', errno: 'ESRCH' }));
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
  ['a thread that none has', { nspid: 14, flags: PIDFD_THREAD }],
  ['an exit status that none is', { nspid: -1, crts_exit_status: 0x10000 }],
])('an image with %s is refused', (_what, more) => {
  expect(() => plan(more)).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }));
});
