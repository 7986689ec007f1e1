import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statfsSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RegFileEntry } from '@crts/image-io';
import {
  CrtsError,
  decodeName,
  ExternalResources,
  encodeName,
  type FdDumpContext,
  type FdFacts,
  type FdPlanContext,
  type FileRecord,
  fileId,
  type RemappedFile,
  type RunOptions,
} from '@crts/plugin-api';
import { regularHandler } from './handler';

const O_PATH = 0o10000000;
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
  const { mode, dev, ino, rdev, size, nlink, ctimeNs } = fstatSync(fd, { bigint: true });
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
    changeNs: ctimeNs,
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
  ({
    id: 7,
    fown,
    task: {},
    options: { ...options, ...more },
    nameOf: (fd: FdFacts) => fd.link,
  }) as unknown as FdDumpContext;
const planContext = (more: Partial<RunOptions> = {}, remap?: Partial<RemappedFile>) =>
  ({
    options: { ...options, ...more },
    remapOf: (id: number) => (id === 7 ? remap : undefined),
  }) as unknown as FdPlanContext;

const dump = (fd: FdFacts, more: Partial<RunOptions> = {}) => regularHandler.dump(fd, dumpContext(more));
const record = (more: Partial<RegFileEntry>): FileRecord => ({
  type: 1,
  field: 'reg',
  value: { id: 7, flags: 0, pos: 0n, fown, name: '/srv/data', mode: 0o100644, build_id: [], ...more },
});
const collect = (entry: FileRecord, more: Partial<RunOptions> = {}, remap?: Partial<RemappedFile>) =>
  regularHandler.collect!(entry, planContext(more, remap));

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

  test('a mere path, whatever it leads to', () => {
    const opath = (mode: number) => regularHandler.match({ mode, link: '/srv/x', flags: O_PATH } as FdFacts);
    for (const mode of [0o010644, 0o020666, 0o140777, 0o100644]) expect(opath(mode)).toBe(30);
    expect(regularHandler.owns(record({ mode: 0o010644, flags: O_PATH }))).toBe(true);
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

  test('a file without names has no build id: it is made again from its contents', () => {
    copyFileSync('/bin/true', path('true'));
    const fd = open(path('true'), 0);
    unlinkSync(path('true'));
    expect(dump(facts(fd)).value).toMatchObject({ name: path('true'), build_id: [] });
  });

  test('left outside: the name says which file, and nothing is compared', () => {
    const fd = facts(open(file('data'), 0), { mntId: 0x3d, pos: 3n });
    const external = new ExternalResources([{ kind: 'file', id: fileId(0x3d, fd.ino), value: undefined }]);
    expect(dump(fd, { external }).value).toEqual({
      id: 7,
      flags: 0,
      pos: 3n,
      fown,
      name: `file[3d:${fd.ino.toString(16)}]`,
      ext: true,
      mode: 0o100644,
      build_id: [],
    });
    expect(dump({ ...fd, mntId: 0x3e }, { external }).value).not.toHaveProperty('ext');
  });

  test('the access time of a file stays when a build id is looked for', () => {
    const fd = open(file('data', '0123456789'.repeat(10)), 0);
    utimesSync(path('data'), 1, 2);
    dump(facts(fd));
    expect(fstatSync(fd).atimeMs).toBe(1000);
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

  test('a file with a remap is compared under the name that the remap tells, or not at all', () => {
    const entry = dumped('data');
    unlinkSync(path('data'));
    expect(() => collect(entry, {}, {})).not.toThrow();
    file('link_remap.9', 'longer content');
    expect(failure(() => collect(entry, {}, { checkName: path('link_remap.9') }))).toMatchObject({
      code: 'CRTS_FILE_CHANGED',
      path: path('link_remap.9'),
    });
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
    ['an external file of another form', { ext: true, name: '/etc/passwd' }, 'CRTS_IMAGE_FIELD'],
    ['a file of a dumped mount namespace', { mnt_id: 61 }, 'CRTS_FILE_MOUNT'],
  ])('%s in the image', (_what, more, code) => {
    const error = failure(() => collect(record({ name: '/etc/passwd', ...more })));
    expect(error.code).toBe(code);
  });
});
