// Peers that do not follow the protocol: that is said in a line, nothing of theirs is stored, and programs go on, or end without wrong memory.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { begin, type End, within } from '../harness/casualties';
import { must } from '../harness/checkpointer';
import { endServers, freePort, serve } from '../harness/servers';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const LOCAL = '127.0.0.1';
const HANG_S = 60;
const PAGE = 4096;
/** The protocol's commands: criu/page-xfer.c. */
const ADD = 6 | (4 << 16);
const HOLE = 6 | (1 << 16);
const OPEN2 = 4;
const CLOSE = 0x1023;
const AT = 0x7000_0000_0000n;
const TASK = (77n << 8n) | 1n;

const fakes: (() => void)[] = [];
function endFakes(): void {
  for (const close of fakes.splice(0)) close();
}

afterEach(endServers);
// What a failed test has left: the harness looks for it before.
afterEach(endFakes);

function record(command: number, vaddr = 0n, pages = 0n, dst = TASK): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeUInt32LE(command >>> 0, 0);
  bytes.writeBigUInt64LE(pages, 8);
  bytes.writeBigUInt64LE(vaddr, 16);
  bytes.writeBigUInt64LE(dst, 24);
  return bytes;
}

const pages = (count: number) => Buffer.alloc(count * PAGE, 7);
const open = record(OPEN2);
const one = Buffer.concat([record(ADD, AT, 1n), pages(1)]);

function expectExplained({ how, stderr }: End, code: string): void {
  expect([how, stderr]).toEqual([1, expect.stringMatching(new RegExp(`^crts: .* \\[${code}\\]$`, 'm'))]);
  expect(stderr).not.toMatch(/CRTS_BUG|^\s+at /m);
}

// What a page server takes.
test.each<[string, Buffer, string]>([
  ['nothing', Buffer.alloc(0), 'CRTS_PAGE_SERVER'],
  ['the words of another protocol', Buffer.from('GET / HTTP/1.1\r\nHost: localhost:27\r\n\r\n'), 'CRTS_PAGE_PROTOCOL'],
  ['a part of a record', open.subarray(0, 20), 'CRTS_PAGE_SERVER'],
  ['a command that is none', record(99), 'CRTS_PAGE_PROTOCOL'],
  ['an owner that is none', record(OPEN2, 0n, 0n, 0x1234_5678_9abc_def0n), 'CRTS_PAGE_PROTOCOL'],
  ['a task twice', Buffer.concat([open, open]), 'CRTS_PAGE_PROTOCOL'],
  ['a page twice', Buffer.concat([open, one, one]), 'CRTS_PAGE_PROTOCOL'],
  [
    'pages that overlap',
    Buffer.concat([open, record(ADD, AT, 2n), pages(2), record(ADD, AT + 4096n, 1n), pages(1)]),
    'CRTS_PAGE_PROTOCOL',
  ],
  ['an address within a page', Buffer.concat([open, record(ADD, AT + 1n, 1n), pages(1)]), 'CRTS_PAGE_PROTOCOL'],
  ['an address of the kernel', Buffer.concat([open, record(ADD, 0xffff_8000_0000_0000n, 1n)]), 'CRTS_PAGE_PROTOCOL'],
  ['more pages than there are addresses', Buffer.concat([open, record(ADD, AT, 1n << 40n)]), 'CRTS_PAGE_PROTOCOL'],
  ['more bytes than ever come', Buffer.concat([open, record(ADD, AT, 1n << 20n), pages(3)]), 'CRTS_PAGE_SERVER'],
  ['no pages', Buffer.concat([open, record(ADD, AT, 0n)]), 'CRTS_PAGE_PROTOCOL'],
  ['flags that mean nothing', Buffer.concat([open, record(6 | (0x80 << 16), AT, 1n)]), 'CRTS_PAGE_PROTOCOL'],
  ['pages that no parent set has', Buffer.concat([open, record(HOLE, AT, 1n)]), 'CRTS_IMAGES_INCREMENTAL'],
  ['pages without an end', Buffer.concat([open, one]), 'CRTS_PAGE_SERVER'],
])('a page server gets %s', async (_, bytes, code) => {
  const stored = mkdtempSync(join(tmpdir(), 'crts-stored-'));
  const port = await freePort();
  const serving = await serve('crts', 'page-server', '-D', stored, '--address', LOCAL, '--port', String(port));
  const socket = connect(port, LOCAL, () => socket.end(bytes));
  socket.on('error', () => undefined).resume();
  const how = await within(HANG_S, 'the server', serving.ended);
  socket.destroy();
  expectExplained({ how, stderr: serving.stderr() }, code);
  expect(readdirSync(stored)).toEqual([]);
  rmSync(stored, { recursive: true });
});

/** Listens, and does what it likes with who comes. */
async function fake(behave: (socket: Socket) => void): Promise<number> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    behave(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, LOCAL, resolve);
  });
  fakes.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as { port: number }).port;
}

/** Takes everything, and answers when it was asked for the end. */
const takeAll = (end: (socket: Socket) => void) => (socket: Socket) => {
  let isFirst = true;
  let last = Buffer.alloc(0);
  socket.on('data', (data) => {
    if (isFirst) socket.write(Buffer.from([0]));
    isFirst = false;
    last = Buffer.concat([last, data]).subarray(-32);
    if (last.length === 32 && last.readUInt32LE(0) === CLOSE) end(socket);
    // Each of several objects is opened, and that is answered.
    else if (last.length === 32 && last.readUInt32LE(0) === OPEN2 && data.length === 32) socket.write(Buffer.from([0]));
  });
};

// What the server of a dump does.
test.each<[string, (socket: Socket) => void, string]>([
  ['goes away at once', (socket) => socket.destroy(), 'CRTS_PAGE_(SERVER|PROTOCOL)'],
  [
    'speaks another protocol',
    (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    'CRTS_PAGE_(SERVER|PROTOCOL)',
  ],
  ['says that it could not store', takeAll((socket) => socket.end(Buffer.from([5, 0, 0, 0]))), 'CRTS_PAGE_SERVER'],
  ['says half a word at the end', takeAll((socket) => socket.end(Buffer.from([0, 0]))), 'CRTS_PAGE_SERVER'],
])('the server of a dump %s: the program goes on', async (_, behave, code) => {
  const target = await Target.program('lazy-memory', ['4']);
  const before = snapshot(target.pid);
  const port = await fake(behave);
  const where = ['--page-server', '--address', LOCAL, '--port', String(port)];
  const dump = begin('dump', '-t', String(target.pid), '-D', target.images, ...where);
  const end = await within(HANG_S, 'the dump', dump.end);
  endFakes();
  expectExplained(end, code);
  expect(existsSync(join(target.images, 'inventory.img'))).toBe(false);
  await until('as before', () => JSON.stringify(snapshot(target.pid)) === JSON.stringify(before), 10).catch(
    () => undefined,
  );
  expect(snapshot(target.pid)).toEqual(before);
  await target.finish();
});

/** Answers to a request for pages, which is at `asked`. */
type Answers = (asked: { pages: bigint; vaddr: bigint; dst: bigint }, socket: Socket) => void;

const answering =
  (answer: Answers) =>
  (socket: Socket): void => {
    let bytes = Buffer.alloc(0);
    socket.on('data', (data) => {
      for (bytes = Buffer.concat([bytes, data]); bytes.length >= 32; bytes = bytes.subarray(32))
        answer(
          { pages: bytes.readBigUInt64LE(8), vaddr: bytes.readBigUInt64LE(16), dst: bytes.readBigUInt64LE(24) },
          socket,
        );
    });
  };

// What the server of a lazy restore does: its pages must not get into the program.
test.each<[string, Answers, string]>([
  ['goes away', (_, socket) => socket.destroy(), 'CRTS_PAGE_SERVER'],
  [
    'gives pages of another address',
    ({ pages: count, vaddr, dst }, socket) =>
      socket.write(Buffer.concat([record(ADD, vaddr + 4096n, count, dst), pages(Number(count))])),
    'CRTS_PAGE_PROTOCOL',
  ],
  [
    'gives pages of another process',
    ({ pages: count, vaddr, dst }, socket) =>
      socket.write(Buffer.concat([record(ADD, vaddr, count, dst + 1n), pages(Number(count))])),
    'CRTS_PAGE_PROTOCOL',
  ],
  [
    'gives more than was asked for',
    ({ pages: count, vaddr, dst }, socket) =>
      socket.write(Buffer.concat([record(ADD, vaddr, count + 1n, dst), pages(Number(count) + 1)])),
    'CRTS_PAGE_PROTOCOL',
  ],
  ['gives no pages', ({ vaddr, dst }, socket) => socket.write(record(ADD, vaddr, 0n, dst)), 'CRTS_PAGE_PROTOCOL'],
  [
    'goes away in the middle of pages',
    ({ pages: count, vaddr, dst }, socket) =>
      socket.end(Buffer.concat([record(ADD, vaddr, count, dst), Buffer.alloc(100)])),
    'CRTS_PAGE_SERVER',
  ],
])('the server of a lazy restore %s: the program ends, and never sees wrong memory', async (_, answer, code) => {
  const target = await Target.program('lazy-memory', ['16']);
  must(target.dump());
  await target.gone();
  const port = await fake(answering(answer));
  const where = ['--page-server', '--address', LOCAL, '--port', String(port)];
  const serving = await serve('crts', 'lazy-pages', '-D', target.images, ...where, '-o', 'lazy-pages.log', '-v4');
  const restore = begin('restore', '-d', '-D', target.images, '-o', 'restore.log', '-v4', '--lazy-pages');
  const { how: restored } = await within(HANG_S, 'the restore', restore.end);
  const how = await within(HANG_S, 'the server', serving.ended);
  endFakes();
  expectExplained({ how, stderr: serving.stderr() }, code);
  if (restored === 0) target.adoptRestored();
  await until('the program to end', () => !target.alive(), HANG_S);
  expect(target.text()).not.toContain('FAIL');
  expect(readFileSync(join(target.images, 'lazy-pages.log'), 'utf8')).not.toContain('in place');
});

// What comes on the line from the restore.
test.each<[string, Buffer]>([
  ['nothing', Buffer.alloc(0)],
  ['a process without its descriptor', Buffer.from([77, 0, 0, 0, 0])],
  ['bytes of another protocol', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
])('a server that waits gets %s', async (_, bytes) => {
  const target = await Target.program('lazy-memory', ['4']);
  must(target.dump('--leave-running'));
  const serving = await serve('crts', 'lazy-pages', '-D', target.images, '-o', 'lazy-pages.log', '-v4');
  const socket = connect(join(target.images, 'lazy-pages.socket'), () => socket.end(bytes));
  socket.on('error', () => undefined).resume();
  const how = await within(HANG_S, 'the server', serving.ended);
  socket.destroy();
  expectExplained({ how, stderr: serving.stderr() }, 'CRTS_LAZY_RESTORE');
  await target.finish();
});
