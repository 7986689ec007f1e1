import type { RegFileEntry } from '@crts/image-io';
import { ProgramBuilder } from '@crts/native-syscalls';
import {
  type CallOptions,
  CrtsError,
  type FdDumpContext,
  type FdFacts,
  type FdPlanContext,
  type FileRecord,
} from '@crts/plugin-api';
import { deviceNumber, driverOf, stateOf } from './device';
import { chardevHandler } from './handler';

const NULL = 0x103n;
const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };
const opener = {
  openFile: (program: ProgramBuilder, { name }: { name: string }, flags: number, call: CallOptions) =>
    program.call('openat', [-100, program.cstring(name), flags, 0], call),
  options: {},
  remapOf: () => undefined,
} as unknown as FdPlanContext;
const context = { id: 7, fown, options: {} } as unknown as FdDumpContext;
const fd = (more: Partial<FdFacts> = {}): FdFacts =>
  ({ pid: 12, fd: 1, link: '/dev/null', mode: 0o020666, rdev: NULL, flags: 0o2100002, pos: 0n, ...more }) as FdFacts;
const record = (more: Partial<RegFileEntry> = {}): FileRecord => ({
  type: 1,
  field: 'reg',
  value: { id: 7, flags: 0o100002, pos: 0n, fown, name: '/dev/null', mode: 0o020666, build_id: [], ...more },
});
const collect = (more: Partial<RegFileEntry>, skipFileRwxCheck = false) =>
  chardevHandler.collect!(record(more), {
    options: { skipFileRwxCheck },
    remapOf: () => undefined,
  } as unknown as FdPlanContext);

function failure(action: () => unknown): CrtsError {
  try {
    action();
  } catch (error) {
    if (error instanceof CrtsError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}

test('device numbers as the kernel encodes them', () => {
  expect(deviceNumber(NULL)).toBe('1:3');
  // makedev(0x12345, 0x67890) of glibc.
  expect(deviceNumber(0x0001_2000_6783_4590n)).toBe('74565:424080');
});

test('devices without state are matched; others only where no other plugin is; a path to one is none', () => {
  for (const rdev of [0x103n, 0x105n, 0x107n, 0x108n, 0x109n, 0x10bn, 0xab7n])
    expect(chardevHandler.match(fd({ rdev }))).toBe(20);
  for (const rdev of [0x101n, 0x500n, 0x8803n, 0xa03n]) expect(chardevHandler.match(fd({ rdev }))).toBe(1);
  expect(chardevHandler.match(fd({ mode: 0o060666 }))).toBe(0);
  expect(chardevHandler.match(fd({ flags: 0o10000000 }))).toBe(0);
});

test('a device that nobody carries is named with its number', () => {
  const error = failure(() => chardevHandler.dump(fd({ rdev: 0x101n, link: '/dev/mem' }), context));
  expect(error).toMatchObject({ code: 'CRTS_FD_KIND', kind: 'refused', pid: 12, fd: 1, path: '/dev/mem' });
  expect(error.what).toContain('character device 1:1');
});

test('the messages of the kernel may be written, not read', () => {
  const kmsg = { rdev: 0x10bn, link: '/dev/kmsg', mode: 0o020644 };
  expect(failure(() => chardevHandler.dump(fd({ ...kmsg, flags: 0 }), context)).code).toBe('CRTS_DEVICE_STATE');
  expect(stateOf('1:11', 0o100001)).toBeUndefined();
  expect(stateOf('1:11', 0o100002)).toBeDefined();
});

test('a clock that interrupts for nobody is carried', () => {
  // The form of rtc_proc_show(), drivers/rtc/proc.c.
  const text = (periodic: string) =>
    `rtc_time\t: 10:00:00\nalarm_IRQ\t: no\nalrm_pending\t: no\nupdate IRQ enabled\t: no\nperiodic IRQ enabled\t: ${periodic}\n24hr\t\t: yes\n`;
  expect(stateOf('10:135', 0, () => text('no'))).toBeUndefined();
  expect(stateOf('10:135', 0, () => text('yes'))).toContain('periodic IRQ');
});

test('drivers by major number', () => {
  const devices = 'Character devices:\n  1 mem\n254 rtc\n\nBlock devices:\n  7 loop\n';
  expect(driverOf('254:0', devices)).toBe('rtc');
  expect(driverOf('7:0', devices)).toBe('');
});

test('with --evasive-devices any name that leads to the device will do', () => {
  const evasive = { ...context, options: { evasiveDevices: true } } as unknown as FdDumpContext;
  expect(chardevHandler.dump(fd({ link: '/no/such/node' }), evasive).value.name).toBe('/dev/null');
  const plan = { ...opener, options: { evasiveDevices: true }, remapOf: () => undefined } as unknown as FdPlanContext;
  const program = new ProgramBuilder();
  chardevHandler.collect!(record({ name: '/container/null' }), plan);
  chardevHandler.plan(record({ name: '/container/null' }), program, plan);
  expect(program.text()).toEqual(['openat(AT_FDCWD, "/dev/null", 0x8002, 0)']);
});

test('the entry as CRIU writes it', () => {
  expect(chardevHandler.dump(fd(), context)).toEqual(record());
});

test.each([
  ['is gone', '/dev/no-such-device', 'ENOENT'],
  ['is another device', '/dev/zero', '1:5'],
  ['is no device', '/etc/hostname', 'no device'],
])('a name that %s is refused at the dump', (_what, link, found) => {
  const error = failure(() => chardevHandler.dump(fd({ link }), context));
  expect(error).toMatchObject({ code: 'CRTS_DEVICE_NAME', kind: 'refused', pid: 12, fd: 1, path: link });
  expect(error.what).toContain(`(${found})`);
});

test('an unchanged device is good', () => {
  expect(() => collect({})).not.toThrow();
});

test.each([
  ['a name that leads nowhere', { name: '/dev/no-such-device' }, 'CRTS_DEVICE_NAME'],
  ['a terminal', { name: '/dev/tty' }, 'CRTS_DEVICE_NAME'],
  ['a regular file', { name: '/etc/hostname' }, 'CRTS_DEVICE_NAME'],
  ['a relative name', { name: 'dev/null' }, 'CRTS_IMAGE_FIELD'],
  ['a name with NUL', { name: '/dev/null\0' }, 'CRTS_IMAGE_FIELD'],
  ['a name without end', { name: `/${'x'.repeat(4096)}` }, 'CRTS_IMAGE_FIELD'],
])('an image with %s', (_what, more, code) => {
  expect(failure(() => collect(more))).toMatchObject({ code, kind: 'failed' });
});

test('other permissions, unless told', () => {
  expect(failure(() => collect({ mode: 0o020600 }))).toMatchObject({ code: 'CRTS_FILE_MODE', path: '/dev/null' });
  expect(() => collect({ mode: 0o020600 }, true)).not.toThrow();
});

test('restored are character devices; other entries belong to other plugins', () => {
  expect(chardevHandler.owns(record())).toBe(true);
  expect(chardevHandler.owns(record({ mode: 0o100644 }))).toBe(false);
  expect(chardevHandler.owns(record({ mode: undefined }))).toBe(false);
  expect(chardevHandler.owns({ type: 11, field: 'tty', value: { mode: 0o020620 } })).toBe(false);
});

test('opened with its flags; none that creates or truncates is passed on', () => {
  const program = new ProgramBuilder();
  chardevHandler.plan(record({ flags: 0o104001, pos: 9n }), program, opener);
  chardevHandler.plan(record({ flags: 0o22301702 }), program, opener);
  expect(program.text()).toEqual([
    'openat(AT_FDCWD, "/dev/null", 0x8801, 0)',
    'openat(AT_FDCWD, "/dev/null", 0x8002, 0)',
  ]);
  expect(program.instructions[0]!.options.fail!('EACCES', -13n)).toMatchObject({
    code: 'CRTS_FILE_OPEN',
    path: '/dev/null',
    errno: 'EACCES',
  });
});
