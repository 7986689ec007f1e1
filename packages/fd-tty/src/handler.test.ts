import * as fs from 'node:fs';
import type { TtyFileEntry, TtyInfoEntry } from '@crts/image-io';
import { isTerminal, ProgramBuilder, rawSyscall } from '@crts/native-syscalls';
import {
  CrtsError,
  ExternalResources,
  type FdDumpContext,
  type FdFacts,
  type FdPlanContext,
  type FileRecord,
  type ImageRecord,
  InheritedFds,
  type LateFd,
  parseExternal,
  type RestoreContext,
  type RunOptions,
  type TaskImages,
  type TaskPlan,
  type TreeImages,
} from '@crts/plugin-api';
import { controllingHandler } from './controlling';
import { terminalHandler } from './handler';
import { termiosBytes, termiosEntry } from './termios';

jest.mock('@crts/native-syscalls', () => ({ ...jest.requireActual('@crts/native-syscalls'), isTerminal: jest.fn() }));
jest.mock('node:fs', () => {
  const actual = jest.requireActual('node:fs');
  return { ...actual, openSync: jest.fn(actual.openSync) };
});
const actualFs = jest.requireActual<typeof fs>('node:fs');

const O_PATH = 0o10000000;
const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };
const opened: number[] = [];

afterEach(() => {
  for (const fd of opened.splice(0)) fs.closeSync(fd);
  jest.mocked(fs.openSync).mockImplementation(actualFs.openSync);
});

function failure(action: () => unknown): CrtsError {
  try {
    action();
  } catch (error) {
    if (error instanceof CrtsError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}

/** A pseudo terminal of the kernel's; `hang` closes the master side. */
function pseudoTerminal(): { slave: number; path: string; index: number; hang: () => void } {
  const master = fs.openSync('/dev/ptmx', 0o402);
  const word = new Int32Array(1);
  rawSyscall('ioctl', master, 0x40045431 /* TIOCSPTLCK */, word);
  rawSyscall('ioctl', master, 0x80045430 /* TIOCGPTN */, word);
  const path = `/dev/pts/${word[0]}`;
  const slave = fs.openSync(path, 0o402);
  opened.push(slave);
  let open = true;
  const hang = () => {
    if (open) fs.closeSync(master);
    open = false;
  };
  masters.push(hang);
  return { slave, path, index: word[0]!, hang };
}
const masters: (() => void)[] = [];
afterEach(() => {
  for (const hang of masters.splice(0)) hang();
});

function facts(local: number, link: string): FdFacts {
  const { mode, dev, ino, rdev, size, nlink, ctimeNs } = fs.fstatSync(local, { bigint: true });
  return {
    ...{
      pid: 4312,
      fd: 0,
      local,
      via: `/proc/self/fd/${local}`,
      link,
      deleted: false,
      mode: Number(mode),
      uid: 0,
      gid: 0,
      dev,
      ino,
      rdev,
      sizeBytes: size,
      nlink,
      changeNs: ctimeNs,
    },
    ...{ fsType: 0x1cd1n, flags: 0o2102002, fdinfo: '', pos: 0n, mntId: 1 },
  };
}

function dumpContext(
  more: { shellJob?: boolean; stat?: Record<string, string>; ttys?: ImageRecord[]; external?: string } = {},
) {
  const records: FileRecord[] = [];
  const ttys = more.ttys ?? [];
  const warnings: string[] = [];
  const context = {
    id: 3,
    fown,
    options: {
      shellJob: more.shellJob ?? true,
      external: new ExternalResources(more.external === undefined ? [] : [parseExternal(more.external)!]),
    },
    log: { warn: (_fields: object, text: string) => warnings.push(text) },
    task: {
      pid: 4312,
      tree: {} as TreeImages,
      images: { ttys },
      facts: { stat: { session: '4000', tpgid: '4312', tty_nr: '0', ...more.stat } },
    },
    addRecord: (make: (id: number) => FileRecord) => {
      records.push(make(9));
      return 9;
    },
  } as unknown as FdDumpContext;
  return { context, records, ttys: ttys as unknown as TtyInfoEntry[], warnings };
}

test('slave sides of pseudo terminals and /dev/tty are terminals', () => {
  const options = { external: new ExternalResources([parseExternal('tty[502:1c]')!]) } as unknown as RunOptions;
  const looks = (rdev: bigint, more: Partial<FdFacts> = {}) =>
    terminalHandler.match({ mode: 0o020620, flags: 0o100002, rdev, dev: 0x1cn, ...more } as FdFacts, options);
  expect(looks(0x8803n)).toBe(20);
  expect(looks(0x8f03n)).toBe(20);
  expect(looks(0x0500n)).toBe(20);
  expect(looks(0x0502n)).toBe(30); // ptmx, left outside
  expect(looks(0x0502n, { dev: 0x1dn })).toBe(0);
  expect(looks(0x0502n, { flags: O_PATH })).toBe(0);
  expect(looks(0x0501n)).toBe(0); // console
  expect(looks(0x0103n)).toBe(0); // null
  expect(looks(0x9003n)).toBe(0);
  expect(looks(0x8803n, { flags: O_PATH })).toBe(0);
  expect(looks(0x8803n, { mode: 0o060620 })).toBe(0);
});

describe('dump', () => {
  test('refused without --shell-job', () => {
    const { slave, path } = pseudoTerminal();
    const error = failure(() => terminalHandler.dump(facts(slave, path), dumpContext({ shellJob: false }).context));
    expect(error).toMatchObject({ code: 'CRTS_TTY_EXTERNAL', kind: 'refused', pid: 4312, fd: 0, path });
    expect(error.hint).toContain('--shell-job');
  });

  test('description, name and terminal, as CRIU writes them', () => {
    const { slave, path, index } = pseudoTerminal();
    const fd = facts(slave, path);
    const { context, records, ttys } = dumpContext({ stat: { tty_nr: String(fd.rdev) } });
    const winsize = Buffer.from('18006400f4015802', 'hex');
    rawSyscall('ioctl', slave, 0x5414 /* TIOCSWINSZ */, winsize);
    expect(terminalHandler.dump(fd, context)).toEqual({
      type: 11,
      field: 'tty',
      value: { id: 3, tty_info_id: 2 * index, flags: 0o102002, fown, regf_id: 9 },
    });
    expect(records).toMatchObject([{ type: 1, field: 'reg', value: { id: 9, name: path, mode: fd.mode } }]);
    const { uid, gid } = fs.fstatSync(slave);
    expect(ttys).toMatchObject([
      { id: 2 * index, type: 1, sid: 4000, pgrp: 4312, rdev: Number(fd.rdev), pty: { index }, uid, gid },
    ]);
    expect(ttys[0]!.winsize).toEqual({ ws_row: 24, ws_col: 100, ws_xpixel: 500, ws_ypixel: 600 });
    const now = Buffer.alloc(36);
    rawSyscall('ioctl', slave, 0x5401, now);
    expect(termiosBytes(ttys[0]!.termios!)).toEqual(now);
  });

  test('a terminal that is not the controlling one has no session', () => {
    const { slave, path } = pseudoTerminal();
    const { context, ttys } = dumpContext({ stat: { tty_nr: '34816', session: '4312' } });
    const fd = { ...facts(slave, path), rdev: 0x8805n };
    terminalHandler.dump(fd, context);
    expect(ttys).toMatchObject([{ sid: 0, pgrp: 0 }]);
  });

  test('two descriptions of one terminal share its entry; a second terminal is refused', () => {
    const { slave, path } = pseudoTerminal();
    const { context, ttys } = dumpContext();
    terminalHandler.dump(facts(slave, path), context);
    terminalHandler.dump(facts(slave, path), context);
    expect(ttys).toHaveLength(1);
    const other = pseudoTerminal();
    expect(failure(() => terminalHandler.dump(facts(other.slave, other.path), context))).toMatchObject({
      code: 'CRTS_TTY_SEVERAL',
      kind: 'refused',
      path: other.path,
    });
  });

  test('/dev/tty beside the terminal itself', () => {
    const { slave, path } = pseudoTerminal();
    const { context, ttys } = dumpContext();
    terminalHandler.dump(facts(slave, path), context);
    terminalHandler.dump({ ...facts(slave, '/dev/tty'), rdev: 0x500n }, context);
    expect(ttys[1]).toMatchObject({ id: 2012, type: 4, sid: 4000 });
    expect(ttys[1]).not.toHaveProperty('pty');
  });

  test('hung up', () => {
    const { slave, path, hang } = pseudoTerminal();
    const fd = facts(slave, path);
    hang();
    expect(failure(() => terminalHandler.dump(fd, dumpContext().context))).toMatchObject({
      code: 'CRTS_TTY_HUNG',
      kind: 'refused',
    });
  });

  test('the leader of its session', () => {
    const { slave, path } = pseudoTerminal();
    const fd = facts(slave, path);
    const leads = { session: '4312', tty_nr: String(fd.rdev) };
    expect(failure(() => terminalHandler.dump(fd, dumpContext({ stat: leads }).context))).toMatchObject({
      code: 'CRTS_TTY_LEADER',
      kind: 'refused',
    });
  });

  test('left outside: an entry for each description, without a name; no --shell-job', () => {
    const { slave, path } = pseudoTerminal();
    const fd = facts(slave, path);
    const external = `tty[${fd.rdev.toString(16)}:${fd.dev.toString(16)}]`;
    const stat = { tty_nr: String(fd.rdev), session: '4312' };
    const { context, records, ttys, warnings } = dumpContext({ shellJob: false, external, stat });
    rawSyscall('ioctl', slave, 0x540c /* TIOCEXCL */, 0);
    expect(terminalHandler.dump(fd, context)).toEqual({
      type: 11,
      field: 'tty',
      value: { id: 3, tty_info_id: 2026, flags: 0o102002, fown },
    });
    expect(terminalHandler.dump(fd, context).value.tty_info_id).toBe(2028);
    expect(ttys[0]).toMatchObject({ id: 2026, type: 5, sid: 4312, pgrp: 4312, exclusive: true, rdev: Number(fd.rdev) });
    expect([records, warnings]).toEqual([[], []]);
    for (let more = 2; more < 64; more++) terminalHandler.dump(fd, context);
    expect(failure(() => terminalHandler.dump(fd, context)).code).toBe('CRTS_TTY_SEVERAL');
  });

  test('exclusive mode is reported', () => {
    const { slave, path } = pseudoTerminal();
    rawSyscall('ioctl', slave, 0x540c /* TIOCEXCL */, 0);
    const { context, warnings, ttys } = dumpContext();
    terminalHandler.dump(facts(slave, path), context);
    expect(warnings).toHaveLength(1);
    expect(ttys[0]!.exclusive).toBe(true);
  });
});

describe('restore', () => {
  const termios = termiosEntry(Buffer.from(Array.from({ length: 36 }, (_, index) => index)));
  const info = (more: Partial<TtyInfoEntry> = {}): TtyInfoEntry => ({
    ...{ id: 6, type: 1, locked: false, exclusive: false, packet_mode: false, sid: 4000, pgrp: 4312, rdev: 0x8803 },
    ...{ termios, pty: { index: 3 }, ...more },
  });
  const record = (more: Partial<TtyFileEntry> = {}): FileRecord => ({
    type: 11,
    field: 'tty',
    value: { id: 3, tty_info_id: 6, flags: 0o104002, fown, regf_id: 9, ...more },
  });
  const context = (ttys: TtyInfoEntry[], shellJob = true) =>
    ({ ttys, options: { shellJob } }) as unknown as FdPlanContext;
  const terminalIs = (...fds: number[]) => jest.mocked(isTerminal).mockImplementation((fd) => fds.includes(fd));
  const collect = (ttys: TtyInfoEntry[], shellJob = true, entry = record()) =>
    terminalHandler.collect!(entry, context(ttys, shellJob));

  beforeEach(() => terminalIs(1));

  test('the first standard descriptor that is a terminal, opened anew with the flags of the program', () => {
    const asked: unknown[][] = [];
    jest.mocked(fs.openSync).mockImplementation((...args) => {
      asked.push(args);
      return 99;
    });
    const program = new ProgramBuilder();
    terminalHandler.plan(record({ flags: 0o106002 | 0o100 | 0o1000 }), program, context([info()]));
    expect(asked).toEqual([['/proc/self/fd/1', 0o106402]]);
    expect(program.text()).toEqual([
      'receive_fd(engine fd 99)',
      // TCSETS with the 36 bytes that were dumped.
      'ioctl($0, 0x5402, &<36 bytes>)',
    ]);
  });

  test('a terminal and /dev/tty are one terminal', () => {
    expect(() => collect([info(), info({ id: 2012, type: 4, pty: undefined })])).not.toThrow();
  });

  test('settings survive the image', () => {
    const bytes = Buffer.from(Array.from({ length: 36 }, (_, index) => 255 - index));
    expect(termiosBytes(termiosEntry(bytes))).toEqual(bytes);
  });

  test('/dev/tty is opened inside the task', () => {
    const program = new ProgramBuilder();
    const controlling = info({ id: 2012, type: 4, pty: undefined });
    terminalHandler.plan(record({ tty_info_id: 2012 }), program, context([controlling]));
    expect(program.text()[0]).toBe('openat(AT_FDCWD, "/dev/tty", 0x8902, 0)');
    expect(program.instructions[0]!.options.fail!('ENXIO', -6n)).toMatchObject({ code: 'CRTS_TTY_NONE' });
    expect(program.instructions[1]!.options.fail!('EIO', -5n)).toMatchObject({ code: 'CRTS_TTY_SET', errno: 'EIO' });
  });

  test('without --shell-job, and without a terminal', () => {
    expect(failure(() => collect([info()], false))).toMatchObject({ code: 'CRTS_TTY_EXTERNAL', kind: 'refused' });
    expect(() => collect([info()])).not.toThrow();
    terminalIs();
    expect(failure(() => collect([info()]))).toMatchObject({ code: 'CRTS_TTY_NONE', kind: 'refused' });
    jest.mocked(fs.openSync).mockImplementation(() => {
      throw Object.assign(new Error(), { code: 'ENXIO' });
    });
    const controlling = info({ id: 2012, type: 4, pty: undefined });
    expect(failure(() => collect([controlling], true, record({ tty_info_id: 2012 })))).toMatchObject({
      code: 'CRTS_TTY_NONE',
    });
  });

  describe('handed back', () => {
    const key = 'tty[8803:1c]';
    const external = (more: Partial<TtyInfoEntry> = {}) =>
      info({ id: 2026, type: 5, pty: undefined, dev: 0x1c, ...more });
    const entry = record({ tty_info_id: 2026, regf_id: undefined });
    const handed = (fd: number, ttys: TtyInfoEntry[]) => {
      const options = { shellJob: false, inherit: new InheritedFds([{ fd, key }]) };
      return { ttys, options, items: () => ttys.map((value) => ({ value })) } as unknown as FdPlanContext;
    };

    test('a slave side is opened once more, with its flags and settings', () => {
      const { slave } = pseudoTerminal();
      terminalIs(slave);
      const packets = { packet_mode: true, exclusive: true, termios_locked: termios };
      const winsize = { ws_row: 1, ws_col: 2, ws_xpixel: 3, ws_ypixel: 4 };
      const context = handed(slave, [external({ ...packets, winsize })]);
      terminalHandler.collect!(entry, context);
      const program = new ProgramBuilder();
      terminalHandler.plan(entry, program, context);
      expect(program.text()).toEqual([
        'receive_fd(descriptor of another task)',
        'fcntl($0, 4, 2048)',
        'ioctl($0, 0x5402, &<36 bytes>)',
        'ioctl($0, 0x5457, &<36 bytes>)',
        'ioctl($0, 0x5414, &<0100020003000400>)',
        'ioctl($0, 0x5420, &<01000000>)',
        'ioctl($0, 0x540c, 0)',
      ]);
      const [late] = program.instructions[0]!.sendFds as LateFd[];
      expect(late!.take()).not.toBe(slave);
      late!.sent();
    });

    test('one of a shell job, instead of the terminal that the restore runs on', () => {
      const { slave } = pseudoTerminal();
      terminalIs(slave);
      const context = handed(slave, [info({ dev: 0x1c })]);
      terminalHandler.collect!(record(), context);
      expect(() => terminalHandler.plan(record(), new ProgramBuilder(), context)).not.toThrow();
    });

    test('nothing, or what is no terminal', () => {
      const error = failure(() => terminalHandler.collect!(entry, context([external()], true)));
      expect(error).toMatchObject({ code: 'CRTS_TTY_EXTERNAL', kind: 'refused', path: key });
      expect(error.hint).toContain(`--inherit-fd 'fd[N]:${key}'`);
      terminalIs();
      expect(failure(() => terminalHandler.collect!(entry, handed(9, [external()])))).toMatchObject({
        ...{ code: 'CRTS_TTY_NONE', fd: 9, path: key },
      });
    });

    test('the leader of its session takes it as controlling terminal before it forks', () => {
      terminalIs(9);
      const leading = new ProgramBuilder();
      const later = new ProgramBuilder();
      const plan = {
        pid: 4000,
        leading: (_head: object, emit: (program: ProgramBuilder) => void) => emit(leading),
        pass: (_head: object, emit: (program: ProgramBuilder) => void) => emit(later),
      };
      const planned = (pid: number) =>
        controllingHandler.plan!({} as TaskImages, { ...plan, pid } as unknown as TaskPlan, {
          ...(handed(9, [external()]) as unknown as RestoreContext),
        });
      planned(4312);
      expect(leading.text()).toEqual([]);
      planned(4000);
      expect(leading.text()).toEqual(['receive_fd(engine fd 9)', 'ioctl($0, 0x540e, 0)', 'close($0)']);
      expect(leading.instructions[1]!.options.fail!('EPERM', -1n)).toMatchObject({
        code: 'CRTS_TTY_CONTROLLING',
        fd: 9,
      });
      expect(later.text()).toEqual(['receive_fd(engine fd 9)', 'ioctl($0, 0x5410, &<d8100000>) = any', 'close($0)']);
    });
  });

  test.each([
    ['without its terminal', [], 'CRTS_IMAGE_FIELD'],
    ['of a console', [info({ type: 2 })], 'CRTS_TTY_KIND'],
    ['of a master side', [info({ id: 7 })], 'CRTS_TTY_KIND'],
    ['without index', [info({ pty: undefined })], 'CRTS_IMAGE_FIELD'],
    ['with an index out of range', [info({ pty: { index: 100_000 } })], 'CRTS_IMAGE_FIELD'],
    ['of a terminal that was hung up', [info({ termios: undefined })], 'CRTS_TTY_HUNG'],
    ['with cut settings', [info({ termios: { ...termios, c_cc: [1, 2] } })], 'CRTS_IMAGE_FIELD'],
    ['with no possible line discipline', [info({ termios: { ...termios, c_line: 256 } })], 'CRTS_IMAGE_FIELD'],
    ['of two terminals', [info(), info({ id: 8, pty: { index: 4 } })], 'CRTS_TTY_SEVERAL'],
  ])('an image %s', (_what, ttys, code) => {
    const entry = record({ tty_info_id: ttys[0]?.id ?? 6 });
    expect(failure(() => collect(ttys, true, entry)).code).toBe(code);
  });
});
