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
import { deviceNumber } from './device';
import { chardevHandler } from './handler';

const NULL = 0x103n;
const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };
const opener = {
  openFile: (program: ProgramBuilder, { name }: { name: string }, flags: number, call: CallOptions) =>
    program.call('openat', [-100, program.cstring(name), flags, 0], call),
} as unknown as FdPlanContext;
const context = { id: 7, fown } as unknown as FdDumpContext;
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

test('null, zero, full, random and urandom are matched; other devices and other files are not', () => {
  for (const minor of [3n, 5n, 7n, 8n, 9n]) expect(chardevHandler.match(fd({ rdev: 0x100n | minor }))).toBe(20);
  for (const rdev of [0x101n, 0x10bn, 0x500n, 0x8803n, 0xa03n]) expect(chardevHandler.match(fd({ rdev }))).toBe(0);
  expect(chardevHandler.match(fd({ mode: 0o060666 }))).toBe(0);
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
