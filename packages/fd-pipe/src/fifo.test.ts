import type { FifoEntry, PipeDataEntry, RegFileEntry } from '@crts/image-io';
import { closeFd, ProgramBuilder, syscall } from '@crts/native-syscalls';
import type {
  CallOptions,
  FdDumpContext,
  FdFacts,
  FdGroupContext,
  FileRecord,
  ImageItem,
  Program,
  TreeImages,
} from '@crts/plugin-api';
import { O_LARGEFILE, O_NONBLOCK, O_PATH, O_RDWR, O_WRONLY } from './constants';
import { fifoHandler } from './fifo';

const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };
const facts = (local: number, more: Partial<FdFacts> = {}): FdFacts =>
  ({
    pid: 12,
    fd: 3,
    local,
    link: '/tmp/f',
    dev: 1n,
    ino: 77n,
    mode: 0o010640,
    mntId: 1,
    flags: O_LARGEFILE,
    ...more,
  }) as FdFacts;

function dump(...fds: FdFacts[]) {
  const items: ImageItem[] = [];
  const warnings: string[] = [];
  const records: FileRecord[] = [];
  const after: (() => void)[] = [];
  const tree = {} as TreeImages;
  let next = 100;
  fds.forEach((fd, index) => {
    const context = {
      ...{ id: index + 1, fown, task: { tree }, options: {} },
      nameOf: (of: FdFacts) => of.link,
      log: { warn: (_fields: object, text: string) => warnings.push(text) },
      addItem: (_kind: string, item: ImageItem) => items.push(item),
      afterAll: (action: () => void) => after.push(action),
      addRecord: (make: (id: number) => FileRecord) => records.push(make(next)) && next++,
    };
    records.push(fifoHandler.dump(fd, context as unknown as FdDumpContext));
  });
  for (const action of after) action();
  return { records, items, warnings };
}

/** The ends of a pipe do for those of a FIFO. */
function pipe(): [number, number] {
  const pair = new Int32Array(2);
  syscall('pipe2', pair, 0o2000000 | O_NONBLOCK);
  return [pair[0]!, pair[1]!];
}

test('FIFOs are matched; pipes, and what is only a path, are not', () => {
  expect(fifoHandler.match(facts(0))).toBe(20);
  expect(fifoHandler.match(facts(0, { link: 'pipe:[77]' }))).toBe(0);
  expect(fifoHandler.match(facts(0, { flags: O_PATH }))).toBe(0);
});

test('two entries for each description, contents once; another file of the same number is another pipe', () => {
  const [reader, writer] = pipe();
  syscall('write', writer, Buffer.from('hello'), 5);
  const { records, items } = dump(facts(reader), facts(writer, { flags: O_WRONLY }), facts(reader, { dev: 2n }));
  expect(records.map(({ field, value }) => [field, value.name ?? value.pipe_id, value.flags ?? value.regf_id])).toEqual(
    [
      ['reg', '/tmp/f', O_LARGEFILE],
      ['fifo', 77, 100],
      ['reg', '/tmp/f', O_WRONLY],
      ['fifo', 77, 101],
      ['reg', '/tmp/f', O_LARGEFILE],
      ['fifo', 78, 102],
    ],
  );
  expect(items.map(({ value, extra }) => [value.pipe_id, value.size, extra!.toString()])).toEqual([
    [77, 65536, 'hello'],
    [78, 65536, 'hello'],
  ]);
  closeFd(reader);
  closeFd(writer);
});

test('a reader that has met nobody; one that is alone; what only writers have is reported', () => {
  const [reader, writer] = pipe();
  expect(dump(facts(reader)).records[1]!.value.crts_unmet).toBe(true);
  expect(dump(facts(reader), facts(writer, { flags: O_WRONLY })).records[1]!.value.crts_unmet).toBeUndefined();
  syscall('write', writer, Buffer.from('x'), 1);
  expect(dump(facts(writer, { flags: O_WRONLY })).warnings).toHaveLength(1);
  closeFd(writer);
  expect(dump(facts(reader)).records[1]!.value.crts_unmet).toBeUndefined();
  closeFd(reader);
});

const reg = (id: number, flags: number): FileRecord => ({
  type: 1,
  field: 'reg',
  value: { id, flags, pos: 0n, fown, name: '/tmp/f', mode: 0o010640, build_id: [] } satisfies RegFileEntry,
});
const fifo = (id: number, more: Partial<FifoEntry> = {}): FileRecord => ({
  type: 3,
  field: 'fifo',
  value: { id, pipe_id: 77, regf_id: id + 100, ...more },
});
const data = (bytes: Buffer, more: Partial<PipeDataEntry> = {}): ImageItem => ({
  value: { pipe_id: 77, bytes: bytes.length, size: 65536, crts_packets: [], ...more } as never,
  extra: bytes,
});

function plan(fifos: readonly FileRecord[], flags: readonly number[], ...items: ImageItem[]): string[] {
  const program = new ProgramBuilder();
  const context = {
    items: () => items,
    options: {},
    files: {
      record: (id: number) => (id < 100 ? fifo(id) : reg(id, flags[id - 101]!)),
    },
    openFile: (into: Program, { name }: { name: string }, how: number, options: CallOptions) =>
      into.call('openat', [-100, into.cstring(name), how, 0], options),
  } as unknown as FdGroupContext;
  for (const one of fifos) fifoHandler.collect!(one, context);
  fifoHandler.planGroup!(fifos, program, context);
  return program.text();
}

test('opened while it is open for both, filled when nothing is in it', () => {
  expect(plan([fifo(1), fifo(2)], [O_LARGEFILE, O_WRONLY | O_NONBLOCK], data(Buffer.from('hi')))).toEqual([
    'openat(AT_FDCWD, "/tmp/f", 0x88802, 0)',
    'openat(AT_FDCWD, "/tmp/f", 0x88800, 0)',
    'openat(AT_FDCWD, "/tmp/f", 0x80801, 0)',
    'store(&<0000000001000000>+0, $0, 4)',
    'poll(&<0000000001000000>, 1, 0) = 0',
    'fcntl($0, 1031, 0x10000)',
    'write($0, &<6869>, 2) = 2',
    'close($0)',
    'fcntl($1, 4, 0)',
  ]);
});

test('a reader that has met nobody is opened alone', () => {
  expect(plan([fifo(1, { crts_unmet: true })], [O_NONBLOCK], data(Buffer.alloc(0)))).toEqual([
    'openat(AT_FDCWD, "/tmp/f", 0x80800, 0)',
    'fcntl($0, 1031, 0x10000)',
  ]);
});

test.each([
  ['no file', () => plan([fifo(1, { regf_id: undefined })], [0])],
  ['a file that is none', () => plan([fifo(1, { regf_id: 2 })], [0])],
  ['more than fits', () => plan([fifo(1)], [O_RDWR], data(Buffer.alloc(5000), { size: 4096 }))],
])('an image with %s is refused', (_what, act) => {
  expect(act).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }));
});
