import { readFileSync } from 'node:fs';
import type { TimerfdEntry } from '@crts/image-io';
import { closeFd, ProgramBuilder, syscall } from '@crts/native-syscalls';
import type { FdDumpContext, FdFacts, FdPlanContext, FileRecord } from '@crts/plugin-api';
import { add } from './clock';
import { parseTimer } from './fdinfo';
import { timerfdHandler } from './handler';

const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };
const warn = jest.fn();
const context = { id: 7, fown, task: {}, log: { warn } } as unknown as FdDumpContext;
/** cat /proc/PID/fdinfo/FD on Linux 6.18. */
const FDINFO = `pos:\t0
flags:\t02004002
mnt_id:\t15
ino:\t1062
clockid: 0
ticks: 2
settime flags: 03
it_value: (17, 5)
it_interval: (3, 250000000)
`;
const open: number[] = [];
const facts = (local: number, fdinfo = readFileSync(`/proc/self/fdinfo/${local}`, 'utf8')): FdFacts =>
  ({ pid: 12, fd: 3, local, link: 'anon_inode:[timerfd]', flags: 0o4002, fdinfo }) as FdFacts;
const record = (more: Partial<TimerfdEntry> = {}): FileRecord => ({
  type: 17,
  field: 'tfd',
  value: {
    ...{ id: 7, flags: 0o4002, fown, clockid: 1, ticks: 0n, settime_flags: 0 },
    ...{ vsec: 0n, vnsec: 0n, isec: 0n, insec: 0n, ...more },
  },
});
const value = (one: FileRecord) => one.value as unknown as TimerfdEntry;

function timer(clock: number): number {
  const fd = syscall('timerfd_create', clock, 0o2004000);
  open.push(fd);
  return fd;
}

function settled(more: Partial<TimerfdEntry>): TimerfdEntry {
  const fd = timer(more.clockid ?? 1);
  const settlement = timerfdHandler.settle!(record(more), {} as FdPlanContext);
  settlement!.run(fd);
  return value(timerfdHandler.dump(facts(fd), context));
}

afterEach(() => {
  for (const fd of open.splice(0)) closeFd(fd);
});

test('timers are matched, other anonymous inodes are not', () => {
  expect(timerfdHandler.match(facts(0, ''))).toBe(10);
  expect(timerfdHandler.match({ ...facts(0, ''), link: 'anon_inode:[eventfd]' })).toBe(0);
});

test('a clock that was set, and the program not told yet, is reported where it is certain', () => {
  const once = FDINFO.replace(/it_interval.*/, 'it_interval: (0, 0)');
  for (const text of [FDINFO, once.replace('03', '01'), once.replace('ticks: 2', 'ticks: 0')])
    timerfdHandler.dump(facts(0, text), context);
  expect(warn).not.toHaveBeenCalled();
  timerfdHandler.dump(facts(0, once), context);
  expect(warn).toHaveBeenCalledTimes(1);
});

test('the state of fdinfo', () => {
  expect(parseTimer(FDINFO)).toEqual({
    ...{ clock: 0, ticks: 2n, settimeFlags: 3 },
    ...{ left: { sec: 17n, nsec: 5n }, interval: { sec: 3n, nsec: 250000000n } },
  });
  expect(parseTimer('pos:\t0\n')).toBeUndefined();
  expect(() => timerfdHandler.dump(facts(0, 'pos:\t0\n'), context)).toThrow(
    expect.objectContaining({ code: 'CRTS_FDINFO', kind: 'refused', pid: 12, fd: 3 }),
  );
});

test('an absolute timer of the wall clock also keeps when it expires', () => {
  const { crts_expires_sec: sec, ...entry } = value(timerfdHandler.dump(facts(0, FDINFO), context));
  expect(entry).toMatchObject({ clockid: 0, ticks: 2n, settime_flags: 3, vsec: 17n, vnsec: 5n, isec: 3n });
  expect(Number(sec) - Date.now() / 1000).toBeGreaterThan(15);
  const relative = value(
    timerfdHandler.dump(facts(0, FDINFO.replace('settime flags: 03', 'settime flags: 00')), context),
  );
  expect(relative).not.toHaveProperty('crts_expires_sec');
});

test.each([
  ['since boot, with suspend', 7, 'boottime'],
  ['alarm since boot', 9, 'boottime'],
  ['monotonic', 1, 'monotonic'],
] as const)(
  'an absolute timer keeps when it expires on the clock of its tree, and does: %s',
  (_what, clockid, name) => {
    const clockShift = { monotonic: 0n, boottime: 0n, [name]: 1_000_000n * 1_000_000_000n };
    const fdinfo = FDINFO.replace('clockid: 0', `clockid: ${clockid}`);
    const shifted = { ...context, task: { clockShift } } as unknown as FdDumpContext;
    const ours = value(timerfdHandler.dump(facts(0, fdinfo), context)).crts_expires_sec!;
    const theirs = value(timerfdHandler.dump(facts(0, fdinfo), shifted)).crts_expires_sec!;
    expect(Number(theirs - ours) - 1_000_000).toBeCloseTo(0, -1);
    const more = { clockid: clockid === 9 ? 7 : clockid, settime_flags: 1, vsec: 1n, crts_expires_sec: theirs + 1000n };
    const [fd, there] = [timer(more.clockid), { clockShift } as unknown as FdPlanContext];
    timerfdHandler.settle!(record(more), there)!.run(fd);
    const { vsec, crts_expires_sec: set } = value(timerfdHandler.dump(facts(fd), context));
    expect(Number(set! - ours)).toBe(1000);
    expect(vsec > 900n).toBe(true);
  },
);

test('an absolute time before the clock of crts began has passed', () => {
  const shift = { clockShift: { monotonic: 10n ** 18n, boottime: 0n } } as unknown as FdPlanContext;
  const fd = timer(1);
  const more = { clockid: 1, settime_flags: 1, vsec: 5n, crts_expires_sec: 7n };
  timerfdHandler.settle!(record(more), shift)!.run(fd);
  expect(value(timerfdHandler.dump(facts(fd), context)).ticks).toBe(1n);
});

test('a periodic timer that has expired unread: its next time, and how often it has expired', () => {
  const fd = timer(1);
  // Every 20 days, for the first time a nanosecond from now.
  syscall('timerfd_settime', fd, 0, new BigInt64Array([1_728_000n, 0n, 0n, 1n]), null);
  const entry = value(timerfdHandler.dump(facts(fd), context));
  expect([entry.ticks, entry.vsec > 1_700_000n, entry.isec]).toEqual([1n, true, 1_728_000n]);
});

test('made with one call', () => {
  const program = new ProgramBuilder();
  timerfdHandler.plan(record(), program, {} as FdPlanContext);
  timerfdHandler.plan(record({ clockid: 7, flags: 0o2002 }), program, {} as FdPlanContext);
  expect(program.text()).toEqual(['timerfd_create(1, 2048)', 'timerfd_create(7, 0)', 'fcntl($1, 4, 1024)']);
  expect(program.instructions[0]!.options.fail!('EPERM', -1n)).toMatchObject({ code: 'CRTS_TIMERFD', errno: 'EPERM' });
});

test('a timer that was never set needs nothing more', () => {
  expect(timerfdHandler.settle!(record(), {} as FdPlanContext)).toBeUndefined();
});

test('what remains to be done, in words', () => {
  expect(timerfdHandler.settle!(record({ vsec: 3n, vnsec: 5n, isec: 7n, ticks: 2n }), {} as FdPlanContext)!.what).toBe(
    '3.000000005 s left, every 7.000000000 s, 2 ticks',
  );
});

test.each([
  ['relative', { clockid: 1, settime_flags: 0 }],
  ['absolute', { clockid: 1, settime_flags: 1 }],
  ['absolute, since boot', { clockid: 7, settime_flags: 1 }],
  ['absolute, of the wall clock, as CRIU has it', { clockid: 0, settime_flags: 3 }],
])('the time left counts: %s', (_what, more) => {
  const entry = settled({ vsec: 1000n, isec: 5n, ticks: 3n, ...more });
  expect(entry).toMatchObject({ ...more, isec: 5n, ticks: 3n });
  expect(entry.vsec >= 900n && entry.vsec <= 1000n).toBe(true);
});

test('an absolute timer of the wall clock expires when it was to', () => {
  const expires = BigInt(Math.floor(Date.now() / 1000)) + 5000n;
  const entry = settled({ clockid: 0, settime_flags: 1, vsec: 9n, crts_expires_sec: expires, crts_expires_nsec: 7n });
  expect(Number(entry.crts_expires_sec) - Number(expires)).toBeCloseTo(0, -1);
  expect(entry.vsec > 4900n).toBe(true);
});

test('expired, or disarmed, with what is left to read', () => {
  expect(settled({ ticks: 2n })).toMatchObject({ ticks: 2n, vsec: 0n, vnsec: 0n });
  expect(settled({ settime_flags: 1, isec: 4n })).toMatchObject({ ticks: 0n, vsec: 0n, isec: 4n, settime_flags: 1 });
});

test('a periodic timer that CRIU met expired begins anew', () => {
  const entry = settled({ isec: 1000n, ticks: 2n });
  expect([entry.ticks, entry.vsec > 900n]).toEqual([2n, true]);
});

test('a timer that cannot be set', () => {
  const settlement = timerfdHandler.settle!(record({ vsec: 1n }), {} as FdPlanContext)!;
  expect(() => settlement.run(-1)).toThrow(expect.objectContaining({ code: 'CRTS_TIMERFD', errno: 'EBADF' }));
});

test('times are added', () => {
  expect(add({ sec: 1n, nsec: 999_999_999n }, { sec: 2n, nsec: 2n })).toEqual({ sec: 4n, nsec: 1n });
});

test.each([
  ['another clock', { clockid: 3 }],
  ['other flags', { settime_flags: 4 }],
  ['nanoseconds that are seconds', { vnsec: 1_000_000_000n }],
  ['seconds without end', { isec: 2n ** 63n }],
  ['an expiry without end', { crts_expires_sec: 2n ** 63n }],
])('an image with %s is refused', (_what, more) => {
  expect(() => timerfdHandler.collect!(record(more), {} as FdPlanContext)).toThrow(
    expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }),
  );
});
