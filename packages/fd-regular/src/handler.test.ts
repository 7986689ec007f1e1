import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statfsSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RegFileEntry } from '@crts/image-io';
import { ProgramBuilder } from '@crts/native-syscalls';
import {
  CrtsError,
  decodeName,
  encodeName,
  type FdDumpContext,
  type FdFacts,
  type FdPlanContext,
  type FileRecord,
  type RunOptions,
} from '@crts/plugin-api';
import { regularHandler } from './handler';

const O_PATH = 0o10000000;
const O_TMPFILE = 0o20200000;
const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };

let directory: string;
const opened: number[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crts-fd-regular-'));
});
afterEach(() => {
  for (const fd of opened.splice(0)) closeSync(fd);
  rmSync(directory, { recursive: true, force: true });
});

const path = (name: string) => join(directory, name);

function file(name: string, content: string | Buffer = 'content', mode = 0o644): string {
  writeFileSync(path(name), content);
  chmodSync(path(name), mode);
  return path(name);
}

function open(name: string | Buffer, flags: number): number {
  const fd = openSync(name, flags, 0o600);
  opened.push(fd);
  return fd;
}

/** What the engine gathers of a descriptor, here of this very process. */
function facts(fd: number, more: Partial<FdFacts> = {}): FdFacts {
  const { mode, dev, ino, rdev, size, nlink } = fstatSync(fd, { bigint: true });
  const text = decodeName(readlinkSync(`/proc/self/fd/${fd}`, 'buffer'));
  const deleted = nlink === 0n && text.endsWith(' (deleted)');
  return {
    pid: 4312,
    fd: 5,
    local: fd,
    via: `/proc/self/fd/${fd}`,
    link: deleted ? text.slice(0, -' (deleted)'.length) : text,
    deleted,
    mode: Number(mode),
    uid: 0,
    gid: 0,
    dev,
    ino,
    rdev,
    sizeBytes: size,
    nlink,
    fsType: statfsSync(`/proc/self/fd/${fd}`, { bigint: true }).type,
    flags: constants.O_RDONLY,
    fdinfo: '',
    pos: 0n,
    mntId: 1,
    ...more,
  };
}

const options: RunOptions = { shellJob: false, fileLocks: false, ghostLimitBytes: 0n, detached: false };
const dumpContext = (more: Partial<RunOptions> = {}) =>
  ({ id: 7, fown, task: {}, options: { ...options, ...more } }) as unknown as FdDumpContext;
const planContext = (more: Partial<RunOptions> = {}) =>
  ({ options: { ...options, ...more } }) as unknown as FdPlanContext;

const dump = (fd: FdFacts, more: Partial<RunOptions> = {}) => regularHandler.dump(fd, dumpContext(more));
const record = (more: Partial<RegFileEntry>): FileRecord => ({
  type: 1,
  field: 'reg',
  value: { id: 7, flags: 0, pos: 0n, fown, name: '/srv/data', mode: 0o100644, build_id: [], ...more },
});
const collect = (entry: FileRecord, more: Partial<RunOptions> = {}) =>
  regularHandler.collect!(entry, planContext(more));

function planText(entry: FileRecord): string[] {
  const program = new ProgramBuilder();
  regularHandler.plan(entry, program, planContext());
  return program.text();
}

function failure(action: () => unknown): CrtsError {
  try {
    action();
  } catch (error) {
    if (error instanceof CrtsError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}

describe('match', () => {
  const looks = (mode: number, link: string) => regularHandler.match({ mode, link } as FdFacts);

  test('files, directories and open symbolic links with a path', () => {
    expect(looks(0o100644, '/srv/data')).toBe(10);
    expect(looks(0o040755, '/srv')).toBe(10);
    expect(looks(0o120777, '/srv/link')).toBe(10);
  });

  test('nothing else', () => {
    for (const mode of [0o010644, 0o020666, 0o060660, 0o140777]) expect(looks(mode, '/srv/data')).toBe(0);
    expect(looks(0o100777, '/memfd:x')).toBe(0);
    expect(looks(0o100444, 'mnt:[4026531841]')).toBe(0);
    expect(looks(0o600, 'anon_inode:[eventfd]')).toBe(0);
  });
});

describe('dump', () => {
  test('the entry as CRIU writes it', () => {
    const name = file('data', '0123456789', 0o640);
    const fd = facts(open(name, constants.O_RDWR), { flags: 0o102002, pos: 5n });
    expect(dump(fd)).toEqual({
      type: 1,
      field: 'reg',
      value: { id: 7, flags: 0o102002, pos: 5n, fown, name, mode: 0o100640, size: 10n, build_id: [] },
    });
  });

  test('close-on-exec belongs to the descriptor and is left out', () => {
    expect(dump(facts(open(file('data'), 0), { flags: 0o2100000 })).value.flags).toBe(0o100000);
  });

  test('a log that only grows has no size to compare', () => {
    const name = file('log');
    const fd = open(name, constants.O_WRONLY | constants.O_APPEND);
    expect(dump(facts(fd, { flags: 0o2001 })).value).not.toHaveProperty('size');
    expect(dump(facts(fd, { flags: 0o2002 })).value.size).toBe(7n);
    expect(dump(facts(fd, { flags: 1 })).value.size).toBe(7n);
  });

  test('directories have no size', () => {
    expect(dump(facts(open(directory, constants.O_DIRECTORY))).value).not.toHaveProperty('size');
  });

  test.each([
    ['by a descriptor that can be read', constants.O_RDONLY, {}],
    ['by one that cannot', constants.O_WRONLY, { flags: 1 }],
    ['by a path', O_PATH, { flags: O_PATH }],
    ['of what the engine opened as a path only', O_PATH, { fd: -1 }],
  ])('the build id of a program %s', (_what, flags, more) => {
    copyFileSync('/bin/true', path('true'));
    const { build_id } = dump(facts(open(path('true'), flags), more)).value as RegFileEntry;
    expect(build_id).toHaveLength(5);
    expect(dump(facts(open(path('true'), flags), more), { fileValidation: 'filesize' }).value.build_id).toEqual([]);
  });

  test('the offset of a descriptor is not moved by looking for a build id', () => {
    const fd = open(file('data', '0123456789'.repeat(10)), 0);
    dump(facts(fd));
    expect(readlinkSync(`/proc/self/fd/${fd}`)).toBe(path('data'));
    expect(fdPosition(fd)).toBe('0');
  });

  test('a symbolic link that is open itself', () => {
    file('target');
    symlinkSync('target', path('link'));
    const fd = open(path('link'), O_PATH | constants.O_NOFOLLOW);
    expect(dump(facts(fd, { flags: O_PATH | constants.O_NOFOLLOW })).value).toMatchObject({
      name: path('link'),
      mode: 0o120777,
    });
  });

  test('a name that is no UTF-8', () => {
    const name = Buffer.concat([Buffer.from(`${directory}/`), Buffer.from([0xff, 0xe4, 0x41])]);
    const fd = open(name, constants.O_CREAT | constants.O_RDWR);
    expect(encodeName(dump(facts(fd)).value.name as string)).toEqual(name);
  });
});

function fdPosition(fd: number): string | undefined {
  return /^pos:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
}

describe('files that their name would not open again are refused', () => {
  test('deleted', () => {
    const fd = open(file('data'), 0);
    unlinkSync(path('data'));
    expect(failure(() => dump(facts(fd)))).toMatchObject({
      code: 'CRTS_FILE_UNLINKED',
      kind: 'refused',
      pid: 4312,
      fd: 5,
      path: path('data'),
    });
  });

  test('a deleted directory', () => {
    mkdirSync(path('directory'));
    const fd = open(path('directory'), 0);
    rmdirSync(path('directory'));
    expect(failure(() => dump(facts(fd)))).toMatchObject({ code: 'CRTS_FILE_UNLINKED', path: path('directory') });
  });

  test('never named (O_TMPFILE)', () => {
    expect(failure(() => dump(facts(open(directory, O_TMPFILE | constants.O_RDWR))))).toMatchObject({
      code: 'CRTS_FILE_UNLINKED',
    });
  });

  test('its name removed while another exists; the hint works', () => {
    const fd = open(file('data'), 0);
    linkSync(path('data'), path('other'));
    unlinkSync(path('data'));
    const error = failure(() => dump(facts(fd)));
    expect(error).toMatchObject({ code: 'CRTS_FILE_UNLINKED', path: path('data') });
    expect(error.hint).toContain('ln -L /proc/4312/fd/5');
    linkSync(path('other'), path('data'));
    expect(readlinkSync(`/proc/self/fd/${fd}`)).toBe(`${path('data')} (deleted)`);
    expect(dump(facts(fd)).value.name).toBe(path('data'));
  });

  test('a name that ends in " (deleted)" is only a name', () => {
    expect(dump(facts(open(file('x (deleted)'), 0))).value.name).toBe(path('x (deleted)'));
  });

  test('deleted, told by the number of its names alone', () => {
    const fd = facts(open(file('data'), 0), { nlink: 0n, link: `${path('data')} (deleted)` });
    expect(failure(() => dump(fd))).toMatchObject({ code: 'CRTS_FILE_UNLINKED', path: path('data') });
  });

  test('replaced by another file', () => {
    const fd = open(file('data'), 0);
    linkSync(path('data'), path('keep'));
    const before = facts(fd);
    renameSync(file('new'), path('data'));
    expect(failure(() => dump(before))).toMatchObject({ code: 'CRTS_FILE_REPLACED', kind: 'refused', fd: 5 });
  });

  test('out of sight', () => {
    const fd = facts(open(file('data'), 0), { link: path('elsewhere/data'), fd: -1 });
    const error = failure(() => dump(fd));
    expect(error).toMatchObject({ code: 'CRTS_FILE_UNREACHABLE', kind: 'refused', errno: 'ENOENT' });
    expect(error.fd).toBeUndefined();
  });
});

describe('collect', () => {
  const dumped = (name: string, content?: string, mode?: number) => dump(facts(open(file(name, content, mode), 0)));

  test('an unchanged file', () => {
    expect(() => collect(dumped('data'))).not.toThrow();
    expect(() => collect(dump(facts(open(directory, 0))))).not.toThrow();
  });

  test('an entry without position', () => {
    expect(() => collect(record({ ...dumped('data').value, pos: (1n << 64n) - 1n }))).not.toThrow();
  });

  test('gone', () => {
    const entry = dumped('data');
    unlinkSync(path('data'));
    expect(failure(() => collect(entry))).toMatchObject({ code: 'CRTS_FILE_GONE', path: path('data') });
  });

  test('behind something that is no directory', () => {
    file('data');
    expect(failure(() => collect(record({ name: path('data/x') })))).toMatchObject({
      code: 'CRTS_FILE_OPEN',
      errno: 'ENOTDIR',
    });
  });

  test('of another size', () => {
    const entry = dumped('data');
    writeFileSync(path('data'), 'longer content');
    const error = failure(() => collect(entry));
    expect(error).toMatchObject({ code: 'CRTS_FILE_CHANGED', path: path('data') });
    expect(error.what).toContain('size 14, was 7');
  });

  test('an entry without a size (a log) may have any', () => {
    file('log', 'much longer now');
    expect(() => collect(record({ name: path('log'), size: undefined }))).not.toThrow();
  });

  test('of another type', () => {
    const entry = dumped('data');
    unlinkSync(path('data'));
    mkdirSync(path('data'));
    expect(failure(() => collect(entry))).toMatchObject({ code: 'CRTS_FILE_CHANGED' });
  });

  test('an entry without a mode opens no device and no FIFO', () => {
    expect(failure(() => collect(record({ name: '/dev/null', mode: undefined })))).toMatchObject({
      code: 'CRTS_FILE_CHANGED',
    });
    expect(() => collect(record({ name: directory, mode: undefined }))).not.toThrow();
  });

  test('with other permissions, unless told', () => {
    const entry = dumped('data', 'content', 0o644);
    chmodSync(path('data'), 0o600);
    const error = failure(() => collect(entry));
    expect(error).toMatchObject({ code: 'CRTS_FILE_MODE', path: path('data') });
    expect(error.hint).toContain('--skip-file-rwx-check');
    expect(() => collect(entry, { skipFileRwxCheck: true })).not.toThrow();
    chmodSync(path('data'), 0o4600);
    expect(failure(() => collect(entry, { skipFileRwxCheck: true }))).toMatchObject({ code: 'CRTS_FILE_MODE' });
  });

  test('a program of another build', () => {
    copyFileSync('/bin/true', path('true'));
    const entry = dump(facts(open(path('true'), 0)));
    expect(() => collect(entry)).not.toThrow();
    const other = [...(entry.value.build_id as number[])];
    other[4]! ^= 1;
    const changed = { ...entry, value: { ...entry.value, build_id: other } };
    expect(failure(() => collect(changed))).toMatchObject({ code: 'CRTS_FILE_CHANGED' });
    expect(() => collect(changed, { fileValidation: 'filesize' })).not.toThrow();
    for (const build_id of [other.slice(0, 3), [...(entry.value.build_id as number[]), 1]])
      expect(failure(() => collect({ ...entry, value: { ...entry.value, build_id } }))).toMatchObject({
        code: 'CRTS_FILE_CHANGED',
      });
  });

  test('a file in the /proc directory of a process that is still to be made', () => {
    expect(() => collect(record({ name: '/proc/4194303/maps', mode: 0o100444, size: 0n }))).not.toThrow();
    expect(failure(() => collect(record({ name: '/proc/no-such-file' })))).toMatchObject({ code: 'CRTS_FILE_GONE' });
  });

  test.each([
    ['a relative name', { name: 'etc/passwd' }, 'CRTS_IMAGE_FIELD'],
    ['an empty name', { name: '' }, 'CRTS_IMAGE_FIELD'],
    ['a name with NUL', { name: '/etc/passwd\0' }, 'CRTS_IMAGE_FIELD'],
    ['a name without end', { name: `/${'x'.repeat(4096)}` }, 'CRTS_IMAGE_FIELD'],
    ['an offset out of range', { pos: 1n << 63n }, 'CRTS_IMAGE_FIELD'],
    ['a link opened for reading', { mode: 0o120777 }, 'CRTS_IMAGE_FIELD'],
    ['an external file', { ext: true, name: 'file[1:2]' }, 'CRTS_FILE_EXTERNAL'],
    ['a file of a dumped mount namespace', { mnt_id: 61 }, 'CRTS_FILE_MOUNT'],
  ])('%s in the image', (_what, more, code) => {
    const error = failure(() => collect(record({ name: '/etc/passwd', ...more })));
    expect(error.code).toBe(code);
  });
});

describe('owns', () => {
  test('regular files, directories, links and entries without a mode', () => {
    expect(regularHandler.owns(record({}))).toBe(true);
    expect(regularHandler.owns(record({ mode: undefined }))).toBe(true);
    expect(regularHandler.owns(record({ mode: 0o040755 }))).toBe(true);
    expect(regularHandler.owns(record({ mode: 0o020666 }))).toBe(false);
    expect(regularHandler.owns({ type: 10, field: 'efd', value: {} })).toBe(false);
  });
});

describe('plan', () => {
  test('opened with its flags, then sought', () => {
    expect(planText(record({ flags: 0o142002, pos: 5n }))).toEqual([
      'openat(AT_FDCWD, "/srv/data", 0xc402, 0)',
      'lseek($0, 5, 0) = 5',
    ]);
  });

  test('nothing to seek at the start, without position, or without a file behind the path', () => {
    for (const more of [{ pos: 0n }, { pos: (1n << 64n) - 1n }, { flags: O_PATH, pos: 9n }])
      expect(planText(record(more))).toHaveLength(1);
  });

  test('flags that create, truncate or make nameless files are never passed on', () => {
    const hostile = 0o100 | 0o200 | 0o400 | 0o1000 | 0o2000000 | O_TMPFILE | 2;
    expect(planText(record({ flags: hostile }))).toEqual(['openat(AT_FDCWD, "/srv/data", 2, 0)']);
  });

  test('directories keep O_DIRECTORY; links are not followed', () => {
    expect(planText(record({ mode: 0o040755, flags: 0o200000 }))).toEqual([
      'openat(AT_FDCWD, "/srv/data", 0x10000, 0)',
    ]);
    expect(planText(record({ mode: 0o120777, flags: O_PATH }))).toEqual(['openat(AT_FDCWD, "/srv/data", 0x220000, 0)']);
  });

  test('what fails inside the task names the file', () => {
    const program = new ProgramBuilder();
    regularHandler.plan(record({ pos: 5n }), program, planContext());
    const errors = program.instructions.map(({ options: { fail } }) => fail!('EACCES', -13n));
    expect(errors).toMatchObject([
      { code: 'CRTS_FILE_OPEN', path: '/srv/data', errno: 'EACCES' },
      { code: 'CRTS_FILE_SEEK', path: '/srv/data' },
    ]);
    expect(program.instructions[0]!.options.fail!('ENOENT', -2n)).toMatchObject({ code: 'CRTS_FILE_GONE' });
  });
});
