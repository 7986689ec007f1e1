import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SkOptsEntry, UnixSkEntry } from '@crts/image-io';
import { ProgramBuilder } from '@crts/native-syscalls';
import { CrtsError, type FdPlanContext, type FileRecord, type ImageItem, type Program } from '@crts/plugin-api';
import { unixHandler } from './handler';
import { SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, STATE } from './sockets';

const { ESTABLISHED, LISTEN } = STATE;

const options: SkOptsEntry = {
  so_sndbuf: 212992,
  so_rcvbuf: 212992,
  so_snd_tmo_sec: 0n,
  so_snd_tmo_usec: 0n,
  so_rcv_tmo_sec: 0n,
  so_rcv_tmo_usec: 0n,
  so_filter: [],
};

function socket(id: number, more: Partial<Omit<UnixSkEntry, 'name'>> & { readonly name?: string } = {}): UnixSkEntry {
  const { name, ...rest } = more;
  return {
    id,
    ino: 100 + id,
    type: SOCK_STREAM,
    state: STATE.CLOSE,
    flags: 2,
    uflags: 0,
    backlog: 0,
    peer: 0,
    fown: { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 },
    opts: options,
    shutdown: 0,
    ...rest,
    name: Buffer.from(name ?? '', 'latin1'),
  };
}

function record(entry: UnixSkEntry): FileRecord {
  return { type: 5, field: 'usk', value: entry as unknown as Record<string, unknown> };
}

function packet(id: number, data: string, sender?: string): ImageItem {
  const crts = sender === undefined ? undefined : { sender: Buffer.from(sender, 'latin1') };
  return { value: { id_for: id, length: data.length, scm: [], crts }, extra: Buffer.from(data, 'latin1') };
}

function contextOf(entries: readonly UnixSkEntry[], packets: readonly ImageItem[] = []): FdPlanContext {
  return {
    files: {},
    records: () => entries.map(record),
    items: (kind: string) => (kind === 'sk-queues' ? packets : []),
    options: {},
    log: { debug() {}, info() {}, warn() {} },
  } as unknown as FdPlanContext;
}

/** The calls that open the group of the first socket; the two limits of buffers, the same for all, left out. */
function plan(entries: readonly UnixSkEntry[], packets: readonly ImageItem[] = []): string[] {
  const context = contextOf(entries, packets);
  const program = new ProgramBuilder();
  const records = entries.map(record);
  for (const one of records) unixHandler.collect!(one, context);
  const key = unixHandler.group!(records[0]!, context);
  const group = records.filter((one) => unixHandler.group!(one, context) === key);
  unixHandler.planGroup!(group, program, { ...context, scratch: 99, spare: 100, pid: 1, pids: new Set([1]) });
  return program.text().filter((line) => !/setsockopt\(.*, 1, 3[23], /.test(line));
}

function failure(entries: readonly UnixSkEntry[], packets: readonly ImageItem[] = []): CrtsError {
  try {
    plan(entries, packets);
  } catch (error) {
    if (error instanceof CrtsError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}

const pair = (type: number, more: Partial<UnixSkEntry> = {}) => [
  socket(1, { type, state: ESTABLISHED, peer: 102, ...more, name: '' }),
  socket(2, { type, state: ESTABLISHED, peer: 101 }),
];

test('a pair: what one has to read is sent by the other', () => {
  expect(plan(pair(1), [packet(1, 'to one'), packet(2, 'to two')])).toMatchInlineSnapshot(`
[
  "socketpair(1, 0x80001, 0, &out<8>)",
  "sendto(&out<8>[4], &<746f206f6e65>, 6, 0x4040, NULL, 0) = 6",
  "sendto(&out<8>[0], &<746f2074776f>, 6, 0x4040, NULL, 0) = 6",
]
`);
});

test('an urgent byte is read again where it was read, and only streams have one', () => {
  const urgent = (data: string, kind: number) => {
    const { value, extra } = packet(1, data);
    return { value: { ...value, crts: { urgent: kind } }, extra };
  };
  expect(plan(pair(SOCK_STREAM), [urgent('', 2), packet(1, 'a'), urgent('X', 1)])).toMatchInlineSnapshot(`
[
  "socketpair(1, 0x80001, 0, &out<8>)",
  "sendto(&out<8>[4], &<00>, 1, 0x4041, NULL, 0) = 1",
  "recvfrom(&out<8>[0], &out<8>, 1, 65, NULL, NULL) = 1",
  "sendto(&out<8>[4], &<61>, 1, 0x4040, NULL, 0) = 1",
  "sendto(&out<8>[4], &<58>, 1, 0x4041, NULL, 0) = 1",
]
`);
  expect(failure(pair(SOCK_STREAM), [urgent('XY', 1)]).code).toBe('CRTS_IMAGE_FIELD');
  expect(failure(pair(SOCK_STREAM), [urgent('', 3)]).code).toBe('CRTS_IMAGE_FIELD');
  expect(failure(pair(SOCK_DGRAM), [urgent('X', 1)]).code).toBe('CRTS_IMAGE_FIELD');
});

test('flags and shutdown come last', () => {
  expect(plan(pair(SOCK_SEQPACKET, { flags: 0o4002, shutdown: 2 }), [packet(2, 'x')])).toMatchInlineSnapshot(`
[
  "socketpair(1, 0x80005, 0, &out<8>)",
  "sendto(&out<8>[0], &<78>, 1, 0x4040, NULL, 0) = 1",
  "shutdown(&out<8>[0], 1)",
  "fcntl(&out<8>[0], 4, 2050)",
]
`);
});

test('a closed end exists long enough to leave its messages and its error', () => {
  const alone = socket(1, {
    state: ESTABLISHED,
    shutdown: 3,
    crts: { peer_gone: true, pending_error: true, options: [], waiting: [] },
  });
  expect(plan([alone], [packet(1, 'last')])).toMatchInlineSnapshot(`
[
  "socketpair(1, 0x80001, 0, &out<8>)",
  "sendto(&out<8>[4], &<6c617374>, 4, 0x4040, NULL, 0) = 4",
  "sendto(&out<8>[0], &<00>, 1, 0x4040, NULL, 0) = 1",
  "close(&out<8>[4])",
]
`);
});

test('a listener, an accepted connection and one that waits', () => {
  const name = '\0name';
  expect(
    plan([
      socket(1, { state: LISTEN, backlog: 5, name }),
      socket(2, { state: ESTABLISHED, peer: 103 }),
      socket(3, { state: ESTABLISHED, peer: 102, name }),
      socket(4, { state: ESTABLISHED, peer: 101 }),
    ]),
  ).toMatchInlineSnapshot(`
[
  "socket(1, 0x80001, 0)",
  "socket(1, 0x80001, 0)",
  "bind($0, &<0100006e616d65>, 7)",
  "listen($0, 5)",
  "socket(1, 0x80001, 0)",
  "connect($4, &<0100006e616d65>, 7)",
  "accept4($0, NULL, NULL, 0x80000)",
  "connect($1, &<0100006e616d65>, 7)",
]
`);
});

test('waiting connections come in the order of the queue', () => {
  const listener = socket(1, { state: LISTEN, name: '\0q', crts: { options: [], waiting: [104, 102, 103] } });
  const waiting = [2, 3, 4].map((id) => socket(id, { state: ESTABLISHED, peer: 101, type: 1, name: `\0w${id}` }));
  const lines = plan([listener, ...waiting]);
  const connects = lines.filter((line) => line.startsWith('connect')).map((line) => /\$\d+/.exec(line)![0]);
  const sockets = lines.filter((line) => line.startsWith('socket(')).length;
  expect([sockets, connects]).toEqual([4, ['$3', '$1', '$2']]);
});

test('messages that bring descriptors wait until all are open', () => {
  const entries = pair(1);
  const message = packet(2, 'hi');
  message.value.scm = [{ type: 1, rights: [7, 8] }];
  const context = contextOf(entries, [message, packet(2, 'then')]);
  const records = entries.map(record);
  for (const one of records) unixHandler.collect!(one, context);
  expect(unixHandler.inFlight!(records[1]!, context)).toEqual([7, 8]);
  const program = new ProgramBuilder();
  unixHandler.planGroup!(records, program, { ...context, scratch: 99, spare: 100, pid: 1, pids: new Set([1]) });
  const first = program.instructions.length;
  const borrow = (inside: Program, id: number) => inside.call('fcntl', [id, 1030, 100]);
  const finish = { ...context, scratch: 99, spare: 100, pid: 1, pids: new Set([1]), numbers: new Map(), borrow };
  for (const one of records) unixHandler.finish!(one, 3, program, finish);
  const lines = program.text().filter((line) => !/setsockopt/.test(line));
  expect(lines).toMatchInlineSnapshot(`
[
  "socketpair(1, 0x80001, 0, &out<8>)",
  "fcntl(&out<8>[0], 1030, 100)",
  "fcntl(&out<8>[4], 1030, 100)",
  "fcntl(7, 1030, 100)",
  "fcntl(8, 1030, 100)",
  "store(&<180000000000000001000000010000000000000000000000>+16, $4, 4)",
  "store(&<180000000000000001000000010000000000000000000000>+20, $5, 4)",
  "store(&<00000000000000000000000000000000>+0, &<6869>, 8)",
  "store(&<00000000000000000000000000000000>+8, 2, 8)",
  "store(&<56 bytes>+16, &<00000000000000000000000000000000>, 8)",
  "store(&<56 bytes>+24, 1, 8)",
  "store(&<56 bytes>+32, &<180000000000000001000000010000000000000000000000>, 8)",
  "store(&<56 bytes>+40, 24, 8)",
  "sendmsg($1, &<56 bytes>, 0x4040) = 2",
  "close($4)",
  "close($5)",
  "sendto($1, &<7468656e>, 4, 0x4040, NULL, 0) = 4",
  "close($1)",
  "close($2)",
]
`);
  expect(first).toBe(3);
});

test('a name that is gone is bound where nobody sees it', () => {
  const deleted = socket(1, {
    state: LISTEN,
    deleted: true,
    name: '/run/some/socket\0',
    file_perms: { mode: 0o140755, uid: 0, gid: 0 },
  });
  expect(plan([deleted])).toMatchInlineSnapshot(`
[
  "socket(1, 0x80001, 0)",
  "fsopen("tmpfs", 1)",
  "fsconfig($1, 6, NULL, NULL, 0)",
  "fsmount($1, 1, 0)",
  "close($1)",
  "mkdirat($3, "run", 493)",
  "mkdirat($3, "run/some", 493)",
  "openat(AT_FDCWD, "/", 0x200000, 0)",
  "openat(AT_FDCWD, ".", 0x200000, 0)",
  "fchdir($3)",
  "chroot(".")",
  "umask(511)",
  "bind($0, &<01002f72756e2f736f6d652f736f636b657400>, 19)",
  "umask($11)",
  "fchmodat(AT_FDCWD, &<2f72756e2f736f6d652f736f636b657400>, 493)",
  "fchdir($7)",
  "chroot(".")",
  "fchdir($8)",
  "listen($0, 0)",
  "fchdir($3)",
  "chroot(".")",
  "unlinkat(AT_FDCWD, &<2f72756e2f736f6d652f736f636b657400>, 0)",
  "fchdir($7)",
  "chroot(".")",
  "fchdir($8)",
  "close($3)",
  "close($7)",
  "close($8)",
]
`);
});

test('datagrams: clients connect before their peer is connected on; messages come from their senders', () => {
  const one = (id: number, peer: number, name = '') => socket(id, { type: SOCK_DGRAM, peer, name });
  expect(
    plan([one(1, 102, '\0hub'), one(2, 0, '\0end'), one(3, 101)], [packet(1, 'a', '\0end'), packet(2, 'b', '\0gone')]),
  ).toMatchInlineSnapshot(`
[
  "socket(1, 0x80002, 0)",
  "socket(1, 0x80002, 0)",
  "socket(1, 0x80002, 0)",
  "bind($0, &<010000687562>, 6)",
  "bind($1, &<010000656e64>, 6)",
  "connect($2, &<010000687562>, 6)",
  "sendto($1, &<61>, 1, 0x4040, &<010000687562>, 6) = 1",
  "connect($0, &<010000656e64>, 6)",
  "socket(1, 0x80002, 0)",
  "bind($9, &<010000676f6e65>, 7)",
  "sendto($9, &<62>, 1, 0x4040, &<010000656e64>, 6) = 1",
  "close($9)",
]
`);
});

describe('names on this machine', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'crts-unix-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  test('a file that is no socket is never removed', () => {
    const path = join(directory, 'file');
    writeFileSync(path, 'precious');
    expect(failure([socket(1, { name: `${path}\0` })])).toMatchObject({ code: 'CRTS_SOCKET_NAME_USED', path });
  });
});

test.each<[string, UnixSkEntry[], ImageItem[], string]>([
  ['a type of its own', [socket(1, { type: 3 })], [], 'CRTS_IMAGE_FIELD'],
  ['an unknown state', [socket(1, { state: 4 })], [], 'CRTS_IMAGE_FIELD'],
  ['a listening datagram socket', [socket(1, { type: SOCK_DGRAM, state: LISTEN })], [], 'CRTS_IMAGE_FIELD'],
  ['a name without end', [socket(1, { name: 'x'.repeat(110) })], [], 'CRTS_IMAGE_FIELD'],
  ['a path with a NUL', [socket(1, { name: '/a\0b\0' })], [], 'CRTS_IMAGE_FIELD'],
  ['a relative directory', [socket(1, { name: 'a\0', name_dir: 'b' })], [], 'CRTS_IMAGE_FIELD'],
  ['an impossible shutdown', [socket(1, { shutdown: 4 })], [], 'CRTS_IMAGE_FIELD'],
  [
    'an unknown option',
    [socket(1, { crts: { options: [{ name: 25, value: Buffer.alloc(4) }], waiting: [] } })],
    [],
    'CRTS_IMAGE_FIELD',
  ],
  [
    'a filter without end',
    [socket(1, { opts: { ...options, so_filter: Array(4097).fill(0n) } })],
    [],
    'CRTS_IMAGE_FIELD',
  ],
  ['a peer that is not there', [socket(1, { state: ESTABLISHED, peer: 9 })], [], 'CRTS_IMAGE_REFERENCE'],
  [
    'a peer of another type',
    [socket(1, { state: ESTABLISHED, peer: 102 }), socket(2, { type: 5, state: ESTABLISHED, peer: 101 })],
    [],
    'CRTS_IMAGE_REFERENCE',
  ],
  ['one inode twice', [socket(1), socket(2, { ino: 101 })], [], 'CRTS_IMAGE_REFERENCE'],
  ['a stream connected to itself', [socket(1, { state: ESTABLISHED, peer: 101 })], [], 'CRTS_IMAGE_REFERENCE'],
  [
    'a message cut short',
    [socket(1)],
    [{ value: { id_for: 1, length: 9, scm: [] }, extra: Buffer.alloc(3) }],
    'CRTS_IMAGE_FIELD',
  ],
  [
    'a control message of no known kind',
    [socket(1)],
    [{ value: { id_for: 1, length: 0, scm: [{ type: 7, rights: [] }] } }],
    'CRTS_IMAGE_FIELD',
  ],
])('an image with %s', (_what, entries, packets, code) => {
  expect(failure(entries, packets)).toMatchObject({ code });
});

describe('several makers', () => {
  const name = '\0name';
  const crts = (pid: number, more: object = {}) => ({ cred_pid: pid, options: [], waiting: [], ...more });
  const entries = (client: number, waiter: number) => [
    socket(1, { state: LISTEN, backlog: 5, name, crts: crts(1) }),
    socket(2, { state: ESTABLISHED, peer: 103, crts: crts(1) }),
    socket(3, { state: ESTABLISHED, peer: 102, name, crts: crts(client) }),
    socket(4, { state: ESTABLISHED, peer: 101, crts: crts(1, { maker_pid: waiter, uid: 7, gid: 8, mode: 0o600 }) }),
  ];
  const makersOf = (sockets: readonly UnixSkEntry[], pids: readonly number[]) => {
    const warnings: string[] = [];
    const log = { debug() {}, info() {}, warn: (_: object, text: string) => void warnings.push(text) };
    const context = { ...contextOf(sockets), log, scratch: 99, spare: 100, pid: 1, pids: new Set(pids) };
    const records = sockets.map(record);
    for (const one of records) unixHandler.collect!(one, context as never);
    return { makers: unixHandler.planMakers!(records, context as never), warnings };
  };

  test('one task made all: nothing comes before', () => {
    expect(makersOf(entries(1, 1), [1, 2, 3])).toEqual({ makers: undefined, warnings: [] });
  });

  test('another one connected, or waits', () => {
    for (const sockets of [entries(2, 1), entries(1, 3)])
      expect(makersOf(sockets, [1, 2, 3])).toMatchObject({ makers: { what: expect.any(String) }, warnings: [] });
  });

  test('who connected is not in the images: that is said', () => {
    const { makers, warnings } = makersOf(entries(2, 3), [1]);
    expect(makers).toBeUndefined();
    expect(warnings).toEqual([expect.stringContaining('SO_PEERCRED')]);
  });

  test('what comes before: up to the listeners, under numbers of their own', () => {
    const { makers } = makersOf(entries(2, 3), [1, 2, 3]);
    const program = new ProgramBuilder();
    makers!.emit(program);
    expect(program.text()).toMatchInlineSnapshot(`
[
  "socket(1, 0x80001, 0)",
  "socket(1, 0x80001, 0)",
  "bind($0, &<0100006e616d65>, 7)",
  "listen($0, 5)",
  "fcntl($0, 1030, 100)",
  "close($0)",
  "fcntl($1, 1030, 100)",
  "close($1)",
]
`);
  });

  test('who waits connects as its owner, and belongs to it', () => {
    const lines = plan(entries(1, 1));
    const connect = lines.findLastIndex((line) => line.startsWith('connect('));
    expect(lines.slice(connect - 2)).toMatchInlineSnapshot(`
[
  "setresgid(-1, 8, -1)",
  "setresuid(-1, 7, -1)",
  "connect($1, &<0100006e616d65>, 7)",
  "setresuid(-1, 0, -1)",
  "setresgid(-1, 0, -1)",
  "prctl(28, $7, 0, 0, 0)",
  "fchown($1, 7, 8)",
  "fchmod($1, 384)",
]
`);
  });
});
