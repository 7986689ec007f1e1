import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { ImageReader } from '@crts/image-io';
import { acceptConnection, closeFd, tcpListen } from '@crts/native-syscalls';
import { COMMAND, encodeOwner, encodeRecord, PAGE } from '@crts/page-xfer';
import type { Logger, PageStore } from '@crts/plugin-api';
import { receivePages } from './receive';

const log: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined };
const pages = {} as PageStore;
const directory = mkdtempSync(join(tmpdir(), 'crts-receive-'));
afterAll(() => rmSync(directory, { recursive: true }));

const dst = encodeOwner('pagemap', 12);
const record = (command: number, flags = 0, vaddr = 0n, count = 0n, owner = dst) =>
  encodeRecord({ command, flags, pages: count, vaddr, dst: owner });
const page = (byte: number) => Buffer.alloc(4096, byte);
const CLOSE = record(COMMAND.close);

/** The peer, in a thread of its own: it sends all and ends the connection. */
const PEER = `
const { workerData } = require('node:worker_threads');
const socket = require('node:net').connect(workerData.port, '127.0.0.1');
socket.on('error', () => undefined);
socket.on('data', () => undefined);
socket.end(workerData.bytes);`;

function receive(...parts: Buffer[]) {
  const { socket: listener, port } = tcpListen({ address: '127.0.0.1', port: 0 });
  const worker = new Worker(PEER, { eval: true, workerData: { port, bytes: Buffer.concat(parts) } });
  const { socket } = acceptConnection(listener);
  try {
    const options = { imagesDir: directory, prevImagesDir: undefined, autoDedup: false, pages, log };
    return receivePages({ socket, peer: 'the test' }, options);
  } finally {
    closeFd(socket);
    closeFd(listener);
    void worker.terminate();
  }
}

test('pages become images; neighbours become one entry', () => {
  const received = receive(
    record(COMMAND.open2),
    record(COMMAND.addFlags, PAGE.present, 0x1000n, 1n),
    page(1),
    record(COMMAND.add, 0, 0x2000n, 1n),
    page(2),
    record(COMMAND.addFlags, PAGE.present | PAGE.lazy, 0x5000n, 1n),
    page(3),
    record(COMMAND.addFlags, PAGE.lazy, 0x9000n, 2n),
    CLOSE,
  );
  expect(received).toEqual({ owners: 1, bytes: 3n * 4096n });
  const reader = ImageReader.openParts(directory);
  expect(reader.read('pagemap', 12)).toEqual([
    { pages_id: 0x10001 },
    { vaddr: 0x1000n, compat_nr_pages: 0, flags: 4, nr_pages: 2n },
    { vaddr: 0x5000n, compat_nr_pages: 0, flags: 6, nr_pages: 1n },
    { vaddr: 0x9000n, compat_nr_pages: 0, flags: 2, nr_pages: 2n },
  ]);
  reader.close();
  const stored = readFileSync(join(directory, 'pages-65537.img'));
  expect(stored.equals(Buffer.concat([page(1), page(2), page(3)]))).toBe(true);
  for (const name of readdirSync(directory)) rmSync(join(directory, name));
});

test.each([
  ['an unknown command', [record(99)]],
  ['a request of a lazy restore', [record(COMMAND.get, 0, 0x1000n, 1n)]],
  ['an owner that is none', [record(COMMAND.open2, 0, 0n, 0n, 3n)]],
  ['an owner twice', [record(COMMAND.open2), record(COMMAND.open2)]],
  ['no pages', [record(COMMAND.addFlags, PAGE.present, 0x1000n, 0n)]],
  ['more pages than addresses', [record(COMMAND.addFlags, PAGE.present, 0x1000n, 1n << 63n)]],
  ['an odd address', [record(COMMAND.addFlags, PAGE.present, 0x1001n, 1n)]],
  ['flags without meaning', [record(COMMAND.addFlags, 8, 0x1000n, 1n)]],
  ['no flags', [record(COMMAND.addFlags, 0, 0x1000n, 1n)]],
  [
    'pages that overlap',
    [record(COMMAND.addFlags, PAGE.present, 0x2000n, 1n), page(1), record(COMMAND.addFlags, PAGE.present, 0x1000n, 2n)],
  ],
])('%s is refused, and nothing is left', (_what, parts) => {
  expect(() => receive(record(COMMAND.open), ...parts.slice(0), CLOSE)).toThrow(
    expect.objectContaining({ code: 'CRTS_PAGE_PROTOCOL' }),
  );
  expect(readdirSync(directory)).toEqual([]);
});

test.each([
  ['before the end', [record(COMMAND.addFlags, PAGE.present, 0x1000n, 1n), page(1)]],
  ['in a page', [record(COMMAND.addFlags, PAGE.present, 0x1000n, 2n), page(1)]],
  ['in a record', [CLOSE.subarray(0, 20)]],
])('a peer that goes away %s', (_when, parts) => {
  expect(() => receive(record(COMMAND.open), ...parts)).toThrow(expect.objectContaining({ code: 'CRTS_PAGE_SERVER' }));
  expect(readdirSync(directory)).toEqual([]);
});

test('pages that are left to a parent set which is not there', () => {
  expect(() => receive(record(COMMAND.open), record(COMMAND.hole, 0, 0x1000n, 1n), CLOSE)).toThrow(
    expect.objectContaining({ code: 'CRTS_IMAGES_INCREMENTAL' }),
  );
});
