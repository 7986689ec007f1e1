import type { RegFileEntry } from '@crts/image-io';
import { ProgramBuilder } from '@crts/native-syscalls';
import {
  type CallOptions,
  type FdPlanContext,
  type FileRecord,
  InheritedFds,
  type RemappedFile,
  type RunOptions,
} from '@crts/plugin-api';
import { regularHandler } from './handler';

const O_PATH = 0o10000000;
const O_TMPFILE = 0o20200000;
const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };
const options: RunOptions = { shellJob: false, fileLocks: false, ghostLimitBytes: 0n, detached: false };
const planContext = (more: Partial<RunOptions> = {}, remap?: Partial<RemappedFile>) =>
  ({
    options: { ...options, ...more },
    remapOf: (id: number) => (id === 7 ? remap : undefined),
    openFile: (program: ProgramBuilder, named: { name: string; ext?: boolean }, flags: number, call: CallOptions) =>
      program.call('openat', [-100, program.cstring(`${named.ext ? 'ext ' : ''}${named.name}`), flags, 0], call),
  }) as unknown as FdPlanContext;
const record = (more: Partial<RegFileEntry>): FileRecord => ({
  type: 1,
  field: 'reg',
  value: { id: 7, flags: 0, pos: 0n, fown, name: '/srv/data', mode: 0o100644, build_id: [], ...more },
});

function planText(entry: FileRecord, more: Partial<RunOptions> = {}, remap?: Partial<RemappedFile>): string[] {
  const program = new ProgramBuilder();
  regularHandler.plan(entry, program, planContext(more, remap));
  return program.text();
}

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

  test('how long its contents are to live', () => {
    expect(planText(record({ crts_write_hint: 3 }))[1]).toBe('fcntl($0, 1036, &<0300000000000000>) = any');
    expect(() => regularHandler.collect!(record({ crts_write_hint: 6 }), planContext())).toThrow(
      expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }),
    );
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

  test('a file that comes back by a remap keeps O_TMPFILE, for who makes it again', () => {
    expect(planText(record({ flags: O_TMPFILE | 2 }), {}, {})).toEqual(['openat(AT_FDCWD, "/srv/data", 0x410002, 0)']);
    expect(planText(record({ flags: 0o200002 }), {}, {})).toEqual(['openat(AT_FDCWD, "/srv/data", 2, 0)']);
  });

  test('a file left outside is opened by what is handed back, and sought', () => {
    expect(planText(record({ ext: true, name: 'file[3d:1a]', flags: 0o2001, pos: 4n }))).toEqual([
      'openat(AT_FDCWD, "ext file[3d:1a]", 1025, 0)',
      'lseek($0, 4, 0) = 4',
    ]);
  });

  test('a named file is replaced by a descriptor of the caller as it is', () => {
    const inherit = new InheritedFds([{ fd: 9, key: 'srv/data' }]);
    const named = new InheritedFds([{ fd: 9, key: '/no such file' }]);
    expect(planText(record({ pos: 4n }), { inherit })).toEqual(['receive_fd(engine fd 9)']);
    expect(() =>
      regularHandler.collect!(record({ name: '/no such file' }), planContext({ inherit: named })),
    ).not.toThrow();
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
