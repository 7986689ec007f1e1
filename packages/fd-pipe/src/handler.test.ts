import type { PipeDataEntry, PipeEntry } from '@crts/image-io';
import { closeFd, ProgramBuilder, syscall } from '@crts/native-syscalls';
import {
  ExternalResources,
  type FdDumpContext,
  type FdFacts,
  type FdGroupContext,
  type FdPlanContext,
  type FileRecord,
  type ImageItem,
  InheritedFds,
  type LateFd,
  parseExternal,
  type RunOptions,
  type TreeImages,
} from '@crts/plugin-api';
import { O_DIRECT, O_LARGEFILE, O_NONBLOCK, O_RDWR, O_WRONLY } from './constants';
import { isAlone, peekContents } from './contents';
import { pipeHandler } from './handler';

const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };

function pipe(flags = 0): { readonly read: number; readonly write: number } {
  const pair = new Int32Array(2);
  syscall('pipe2', pair, 0o2000000 | O_NONBLOCK | flags);
  return { read: pair[0]!, write: pair[1]! };
}

const put = (fd: number, text: string) => syscall('write', fd, Buffer.from(text), text.length);
const fd = (local: number, more: Partial<FdFacts> = {}): FdFacts =>
  ({
    pid: 12,
    fd: 3,
    local,
    link: 'pipe:[77]',
    ino: 77n,
    mode: 0o010600,
    uid: 0,
    gid: 0,
    flags: 0,
    ...more,
  }) as FdFacts;

const warnings: unknown[][] = [];
/** A dump of the descriptions given, in their order. */
function dump(...fds: FdFacts[]): { records: FileRecord[]; items: ImageItem[] } {
  return dumpWith({}, ...fds);
}
function dumpWith(options: Partial<RunOptions>, ...fds: FdFacts[]): { records: FileRecord[]; items: ImageItem[] } {
  const items: ImageItem[] = [];
  const after: (() => void)[] = [];
  const tree = {} as TreeImages;
  const context = (id: number) =>
    ({
      id,
      fown,
      task: { tree },
      options,
      log: { warn: (...what: unknown[]) => warnings.push(what) },
      addItem: (_kind: string, item: ImageItem) => items.push(item),
      afterAll: (action: () => void) => after.push(action),
    }) as unknown as FdDumpContext;
  const records = fds.map((facts, index) => pipeHandler.dump(facts, context(index + 1)));
  for (const action of after) action();
  return { records, items };
}

describe('peeking', () => {
  const open: number[] = [];
  const make = (flags = 0) => {
    const ends = pipe(flags);
    open.push(ends.read, ends.write);
    return ends;
  };
  afterEach(() => {
    for (const one of open.splice(0)) closeFd(one);
  });

  test('a stream is read and stays', () => {
    const { read, write } = make();
    put(write, 'hello');
    for (let i = 0; i < 2; i++)
      expect(peekContents(fd(read), 65536)).toEqual({ bytes: Buffer.from('hello'), packets: [] });
    const left = Buffer.alloc(9);
    expect([syscall('read', read, left, 9), left.toString('latin1', 0, 5)]).toEqual([5, 'hello']);
  });

  test('nothing', () => {
    expect(peekContents(fd(make().read), 65536)).toEqual({ bytes: Buffer.alloc(0), packets: [] });
  });

  test('packets, and a stream behind them', () => {
    const { read, write } = make(O_DIRECT);
    for (const text of ['1', 'three', '22']) put(write, text);
    syscall('fcntl', write, 4, O_NONBLOCK);
    put(write, 's');
    put(write, 't');
    expect(peekContents(fd(read), 65536)).toEqual({
      bytes: Buffer.from('1three22st'),
      packets: [
        { offset: 0, length: 1 },
        { offset: 1, length: 5 },
        { offset: 6, length: 2 },
      ],
    });
  });

  test('a pipe that is full to the last buffer, however large', () => {
    const { read, write } = make();
    const size = syscall('fcntl', write, 1031, 1 << 20);
    const bytes = Buffer.alloc(size, 'abcdefg');
    syscall('write', write, bytes, size);
    const contents = peekContents(fd(read), size);
    expect([contents.bytes.equals(bytes), contents.packets]).toEqual([true, []]);
  });

  test('whether somebody has the other end', () => {
    const { read, write } = pipe();
    expect([isAlone(read), isAlone(write)]).toEqual([false, false]);
    closeFd(write);
    expect(isAlone(read)).toBe(true);
    closeFd(read);
  });

  test('both ends, contents once', () => {
    const { read, write } = make();
    put(write, 'hello');
    const { records, items } = dump(fd(read), fd(write, { flags: O_WRONLY, fd: 4 }), fd(read, { flags: O_LARGEFILE }));
    const entry = { pipe_id: 77, fown, crts_uid: 0, crts_gid: 0, crts_mode: 0o010600 };
    expect(records).toEqual([
      { type: 2, field: 'pipe', value: { id: 1, flags: 0, ...entry } },
      { type: 2, field: 'pipe', value: { id: 2, flags: O_WRONLY, ...entry } },
      { type: 2, field: 'pipe', value: { id: 3, flags: O_LARGEFILE, ...entry } },
    ]);
    expect(items).toEqual([
      { value: { pipe_id: 77, bytes: 5, size: 65536, crts_packets: [] }, extra: Buffer.from('hello') },
    ]);
  });

  test('one end alone: whole if nobody has the other, to be handed back if somebody outside has or it is left outside', () => {
    const { read, write } = make();
    const outside = ({ records }: { records: FileRecord[] }) => records.map(({ value }) => value.crts_outside === true);
    expect(outside(dump(fd(read)))).toEqual([true]);
    expect(warnings).toEqual([[{ code: 'CRTS_PIPE_FOREIGN', pid: 12, fd: 3, path: 'pipe:[77]' }, expect.any(String)]]);
    expect(warnings.splice(0)[0]![1]).toContain(
      "writes this pipe: the restore has to be handed another one, --inherit-fd 'fd[N]:pipe:[77]'",
    );
    expect(outside(dump(fd(write, { flags: O_WRONLY })))).toEqual([true]);
    expect(warnings.splice(0)[0]![1]).toContain('reads this pipe');
    const external = new ExternalResources([parseExternal('pipe[77]')!]);
    expect(outside(dumpWith({ external }, fd(read), fd(write, { flags: O_WRONLY })))).toEqual([true, true]);
    expect(outside(dump(fd(read), fd(write, { flags: O_WRONLY })))).toEqual([false, false]);
    const reader = pipe();
    closeFd(reader.write);
    expect(outside(dump(fd(reader.read)))).toEqual([false]);
    expect(dump(fd(reader.read)).items).toHaveLength(1);
    closeFd(reader.read);
    const writer = pipe();
    closeFd(writer.read);
    expect(dump(fd(writer.write, { flags: O_WRONLY })).items).toEqual([
      { value: { pipe_id: 77, bytes: 0, size: 65536, crts_packets: [] }, extra: Buffer.alloc(0) },
    ]);
    closeFd(writer.write);
    expect(warnings).toEqual([]);
  });
});

test('pipes are matched, FIFOs and files of that name are not', () => {
  expect(pipeHandler.match(fd(0))).toBe(10);
  expect(pipeHandler.match(fd(0, { link: '/tmp/pipe:[77]' }))).toBe(0);
  expect(pipeHandler.match(fd(0, { mode: 0o100600 }))).toBe(0);
});

const record = (more: Partial<PipeEntry> = {}): FileRecord => ({
  type: 2,
  field: 'pipe',
  value: { id: 1, pipe_id: 77, flags: 0, fown, ...more },
});
const data = (bytes: Buffer, more: Partial<PipeDataEntry> = {}): ImageItem => ({
  value: { pipe_id: 77, bytes: bytes.length, size: 65536, crts_packets: [], ...more } as never,
  extra: bytes,
});
function plan(entries: Partial<PipeEntry>[], ...items: ImageItem[]): string[] {
  return planWith({}, entries, items);
}
function planWith(options: Partial<RunOptions>, entries: Partial<PipeEntry>[], items: readonly ImageItem[]): string[] {
  const program = new ProgramBuilder();
  const context = { scratch: 500, spare: 501, items: () => items, options } as unknown as FdGroupContext;
  for (const more of entries) pipeHandler.collect!(record(more), context as FdPlanContext);
  pipeHandler.planGroup!(entries.map(record), program, context);
  return program.text();
}

test('two ends, with contents', () => {
  expect(plan([{}, { flags: O_WRONLY | O_NONBLOCK }], data(Buffer.from('hello')))).toEqual([
    'pipe2(&out<8>, 0x80800)',
    'fcntl(&out<8>[4], 1031, 0x10000)',
    'write(&out<8>[4], &<68656c6c6f>, 5) = 5',
    'fcntl(&out<8>[0], 4, 0)',
  ]);
});

test('inherited: opened again by the descriptor of the caller, with its own flags and no contents', () => {
  const { read, write } = pipe();
  const inherit = new InheritedFds([{ fd: write, key: 'pipe:[77]' }]);
  const entries = [{ flags: O_WRONLY }, { flags: O_NONBLOCK }];
  expect(planWith({ inherit }, entries, [data(Buffer.from('hello'))])).toEqual([
    'receive_fd(descriptor of another task)',
    'fcntl($0, 4, 0)',
    'receive_fd(descriptor of another task)',
  ]);
  const program = new ProgramBuilder();
  const context = { options: { inherit } } as unknown as FdGroupContext;
  pipeHandler.planGroup!([record({ flags: O_WRONLY })], program, context);
  const [late] = program.instructions[0]!.sendFds as LateFd[];
  const local = late!.take();
  put(local, 'x');
  const byte = Buffer.alloc(4);
  expect([syscall('read', read, byte, 4), byte[0]]).toEqual([1, 'x'.charCodeAt(0)]);
  late!.sent();
  closeFd(write);
  expect(() => late!.take()).toThrow(expect.objectContaining({ code: 'CRTS_PIPE_INHERIT', errno: 'ENOENT' }));
  closeFd(read);
});

test.each([
  [{ flags: 0 }, 'writes this pipe', 'reading end'],
  [{ flags: O_WRONLY }, 'reads this pipe', 'writing end'],
])('left outside and not handed back: the error says what to pass %j', (entry, what, hint) => {
  expect(() => plan([{ ...entry, crts_outside: true }])).toThrow(
    expect.objectContaining({
      ...{ code: 'CRTS_PIPE_FOREIGN', kind: 'refused', path: 'pipe:[77]', what: expect.stringContaining(what) },
      hint: expect.stringContaining(
        `${hint} of a pipe as descriptor N of crts, and pass --inherit-fd 'fd[N]:pipe:[77]'`,
      ),
    }),
  );
  const inherit = new InheritedFds([{ fd: 9, key: 'pipe:[77]' }]);
  expect(planWith({ inherit }, [{ ...entry, crts_outside: true }], [])[0]).toBe(
    'receive_fd(descriptor of another task)',
  );
});

test('half closed', () => {
  expect(plan([{ flags: O_NONBLOCK }])).toEqual(['pipe2(&out<8>, 0x80800)', 'close(&out<8>[4])']);
});

test('opened again, owned by another, read and written', () => {
  const entries = [
    { crts_uid: 12, crts_gid: 13, crts_mode: 0o010640 },
    { flags: O_LARGEFILE | O_NONBLOCK },
    { flags: O_LARGEFILE | O_RDWR | O_DIRECT },
  ];
  expect(plan(entries)).toEqual([
    'pipe2(&out<8>, 0x80800)',
    'fchown(&out<8>[0], 12, 13)',
    'fchmod(&out<8>[0], 416)',
    'dup3(&out<8>[0], 500, 0x80000)',
    'openat(AT_FDCWD, "/proc/self/fd/500", 0x8800, 0)',
    'openat(AT_FDCWD, "/proc/self/fd/500", 0x8002, 0)',
    'close(500)',
    'close(&out<8>[4])',
    'fcntl(&out<8>[0], 4, 0)',
    'fcntl($5, 4, 0x4000)',
  ]);
});

test('packets: written one by one; a stream before one comes from a pipe of its own', () => {
  const packets = [
    { offset: 2, length: 1 },
    { offset: 3, length: 2 },
  ];
  const text = plan([{ flags: O_WRONLY | O_NONBLOCK }, { flags: O_NONBLOCK }], {
    ...data(Buffer.from('ssp12t'), { crts_packets: packets }),
  });
  expect(text.slice(2)).toEqual([
    'pipe2(&out<8>, 0x80800)',
    'write(&out<8>[4], &<7373>, 2) = 2',
    'tee(&out<8>[0], &out<8>[4], 2, 2) = 2',
    'close(&out<8>[0])',
    'close(&out<8>[4])',
    'fcntl(&out<8>[4], 4, 0x4800)',
    'write(&out<8>[4], &<70>, 1) = 1',
    'write(&out<8>[4], &<3132>, 2) = 2',
    'fcntl(&out<8>[4], 4, 2048)',
    'write(&out<8>[4], &<74>, 1) = 1',
  ]);
});

test.each([
  ['an access mode that none is', { flags: 3 }, []],
  ['a mode of a file', { crts_mode: 0o100600 }, []],
  ['more than fits', {}, [data(Buffer.alloc(5000), { size: 4096 })]],
  ['no size', {}, [data(Buffer.alloc(1), { size: 0 })]],
  ['a packet behind the end', {}, [data(Buffer.alloc(5), { crts_packets: [{ offset: 4, length: 2 }] })]],
  ['a packet of nothing', {}, [data(Buffer.alloc(5), { crts_packets: [{ offset: 4, length: 0 }] })]],
  ['a packet larger than a page', {}, [data(Buffer.alloc(5000), { crts_packets: [{ offset: 0, length: 4097 }] })]],
])('an image with %s is refused', (_what, more, items) => {
  expect(() => plan([more], ...items)).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD', kind: 'failed' }));
});

test('a pipe in the place of a file is refused', () => {
  expect(() => pipeHandler.plan(record(), new ProgramBuilder(), {} as FdPlanContext)).toThrow(
    expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }),
  );
});
