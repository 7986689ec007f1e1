import { closeSync, fstatSync, openSync } from 'node:fs';
import { ProgramBuilder, rawSyscall, syscall } from '@crts/native-syscalls';
import {
  type CallOptions,
  ExternalResources,
  type FdDumpContext,
  type FdFacts,
  type FdPlanContext,
  type FileRecord,
  InheritedFds,
  type Program,
  parseExternal,
  type RunOptions,
} from '@crts/plugin-api';
import { deviceHandler } from './device';
import { socketHandler } from './socket';

const AF_INET = 2;
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_STREAM = 1;
const O_NONBLOCK = 0o4000;
const S_IFBLK = 0o060000;
const fown = { pid: 0 };
const open: number[] = [];

afterEach(() => {
  for (const fd of open.splice(0)) closeSync(fd);
});

function socket(family: number, type: number): number {
  const fd = syscall('socket', family, type | 0o2000000, 0);
  open.push(fd);
  return fd;
}

function facts(local: number, more: Partial<FdFacts> = {}): FdFacts {
  const { mode, ino, rdev } = fstatSync(local, { bigint: true });
  return {
    ...{ pid: 12, fd: 3, local, mode: Number(mode), ino, rdev, pos: 0n, flags: 2, fdinfo: '' },
    ...more,
  } as FdFacts;
}

const options = (external: string[], inherit: { fd: number; key: string }[] = []): RunOptions =>
  ({
    external: new ExternalResources(external.map((text) => parseExternal(text)!)),
    inherit: new InheritedFds(inherit),
  }) as unknown as RunOptions;
const dumping = (run: RunOptions) => ({ id: 7, fown, options: run }) as unknown as FdDumpContext;
const restoring = (run: RunOptions) =>
  ({
    options: run,
    openFile: (program: Program, file: { name: string; ext?: boolean }, flags: number, call: CallOptions) =>
      program.call(
        'openat',
        [-100, program.cstring(`${file.ext === true ? 'inherited ' : ''}${file.name}`), flags, 0],
        call,
      ),
  }) as unknown as FdPlanContext;
function plan(handler: typeof socketHandler, record: FileRecord, run: RunOptions): string[] {
  const program = new ProgramBuilder();
  handler.collect!(record, restoring(run));
  handler.plan(record, program, restoring(run));
  return program.text();
}

describe('sockets', () => {
  const dumped = (local: number, flags = 2) => {
    const fd = facts(local, { flags });
    return { key: `socket:[${fd.ino}]`, record: socketHandler.dump(fd, dumping(options([`socket[${fd.ino}]`]))) };
  };

  test('those that are named, but for UNIX ones', () => {
    const fd = facts(socket(AF_INET, SOCK_DGRAM));
    const named = options([`socket[${fd.ino}]`]);
    expect(socketHandler.match(fd, named)).toBe(40);
    expect(socketHandler.match(fd, options(['socket[1]']))).toBe(0);
    expect(socketHandler.match({ ...fd, fdinfo: 'pos:\t0\nscm_fds: 0\n' }, named)).toBe(0);
    expect(socketHandler.match({ ...fd, mode: 0o100600 }, named)).toBe(0);
  });

  test('what is handed back is taken as it is, with the flags of the program', () => {
    const { record, key } = dumped(socket(AF_INET, SOCK_DGRAM), 2 | O_NONBLOCK);
    expect(record).toMatchObject({ type: 16, field: 'ext', value: { id: 7, fown, crts_plugin: '@crts/fd-external' } });
    expect([socketHandler.owns(record), deviceHandler.owns(record)]).toEqual([true, false]);
    const fd = socket(AF_INET, SOCK_DGRAM);
    expect(plan(socketHandler, record, options([], [{ fd, key }]))).toEqual([
      `receive_fd(engine fd ${fd})`,
      'fcntl($0, 4, 2048)',
    ]);
    rawSyscall('fcntl', fd, 4, O_NONBLOCK);
    expect(plan(socketHandler, record, options([], [{ fd, key: key.replace(':', '') }]))).toHaveLength(1);
  });

  test('nothing, no socket, another one', () => {
    const { record, key } = dumped(socket(AF_INET, SOCK_STREAM));
    const collect = (fd?: number) => () =>
      socketHandler.collect!(record, restoring(options([], fd === undefined ? [] : [{ fd, key }])));
    expect(collect()).toThrow(
      expect.objectContaining({ code: 'CRTS_FILE_EXTERNAL', hint: expect.stringContaining(`fd[N]:${key}`) }),
    );
    const file = openSync('/dev/null', 'r');
    open.push(file);
    expect(collect(file)).toThrow(expect.objectContaining({ code: 'CRTS_INHERIT_KIND', fd: file, path: key }));
    expect(collect(socket(AF_UNIX, SOCK_STREAM))).toThrow(
      expect.objectContaining({ code: 'CRTS_INHERIT_KIND', what: expect.stringContaining('family 1, type 1') }),
    );
  });
});

describe('devices', () => {
  const device = (more: Partial<FdFacts> = {}): FdFacts => {
    const fd = openSync('/dev/null', 'r');
    open.push(fd);
    return facts(fd, { flags: 0o102400, ...more });
  };

  test('those whose numbers are given', () => {
    expect(deviceHandler.match(device(), options(['dev[1/3]:x']))).toBe(40);
    expect(deviceHandler.match(device({ rdev: 0x800fn, mode: S_IFBLK }), options(['dev[128/15]']))).toBe(40);
    expect(deviceHandler.match(device(), options(['dev[1/5]:x']))).toBe(0);
    expect(deviceHandler.match(device({ flags: 0o10000000 }), options(['dev[1/3]:x']))).toBe(0);
  });

  test('opened by the path that is given for its name, or by what is handed back', () => {
    const record = deviceHandler.dump(device(), dumping(options(['dev[1/3]:log'])));
    expect([deviceHandler.owns(record), socketHandler.owns(record)]).toEqual([true, false]);
    expect(plan(deviceHandler, record, options(['dev[log]:/dev/zero']))).toEqual([
      'openat(AT_FDCWD, "/dev/zero", 0x8500, 0)',
    ]);
    const { local } = device();
    expect(plan(deviceHandler, record, options([], [{ fd: local, key: 'dev[log]' }]))).toEqual([
      'openat(AT_FDCWD, "inherited dev[log]", 0x8500, 0)',
    ]);
  });

  test('nothing is given, or no such device', () => {
    const record = deviceHandler.dump(device(), dumping(options(['dev[1/3]'])));
    const collect =
      (...external: string[]) =>
      () =>
        deviceHandler.collect!(record, restoring(options(external)));
    expect(collect()).toThrow(
      expect.objectContaining({
        code: 'CRTS_FILE_EXTERNAL',
        hint: expect.stringContaining("--external 'dev[1/3]:/dev/"),
      }),
    );
    for (const path of ['/dev/nothing', '/tmp'])
      expect(collect(`dev[1/3]:${path}`)).toThrow(expect.objectContaining({ code: 'CRTS_DEVICE_NAME', path }));
  });

  test('a block device goes to its offset', () => {
    const block = device({ mode: S_IFBLK, pos: 512n });
    const record = deviceHandler.dump(block, dumping(options(['dev[1/3]:disk'])));
    const program = new ProgramBuilder();
    deviceHandler.plan(record, program, restoring(options(['dev[disk]:/dev/sdb'])));
    expect(program.text()).toEqual(['openat(AT_FDCWD, "/dev/sdb", 0x8500, 0)', 'lseek($0, 512, 0) = 512']);
    expect(program.instructions[0]!.options.fail!('EACCES', -13n)).toMatchObject({ code: 'CRTS_FILE_OPEN' });
  });
});

test.each([
  ['no JSON', Buffer.from('{')],
  ['another kind', Buffer.from('{"kind":"x"}')],
  ['too long', Buffer.alloc(20_000, ' ')],
])('an entry with %s is nobody’s', (_what, crts_data) => {
  const record = {
    type: 16,
    field: 'ext',
    value: { id: 7, crts_plugin: '@crts/fd-external', crts_data },
  } as FileRecord;
  expect([socketHandler.owns(record), deviceHandler.owns(record)]).toEqual([false, false]);
});

test.each(['{"kind":"socket","inode":1}', '{"kind":"socket","inode":"1","family":-1}', '{"kind":"socket"}'])(
  'an entry with impossible fields is refused: %s',
  (text) => {
    const value = { id: 7, crts_plugin: '@crts/fd-external', crts_data: Buffer.from(text) };
    const record = { type: 16, field: 'ext', value } as unknown as FileRecord;
    expect(() => socketHandler.collect!(record, restoring(options([])))).toThrow(
      expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }),
    );
  },
);
