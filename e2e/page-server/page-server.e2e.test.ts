// Pages of a dump that go to a page server, of crts or CRIU, and come back from what it has stored.
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ImageReader } from '@crts/image-io';
import { criu, crts, must } from '../harness/checkpointer';
import { testNeeding } from '../harness/needs';
import { endServers, freePort, type Server, serve } from '../harness/servers';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';

afterEach(endServers);

type Side = 'crts' | 'criu';
const LOCAL = '127.0.0.1';

/** A directory of the test. */
function place(target: Target, name: string): string {
  const directory = join(target.directory, name);
  mkdirSync(directory);
  return directory;
}

async function kinds(): Promise<Target> {
  const target = await Target.program('kinds', ['DIR', '20261126']);
  return target;
}

function server(side: Side, directory: string, port: number, ...options: string[]): Promise<Server> {
  const where = ['--address', LOCAL, '--port', String(port)];
  return serve(side, 'page-server', '-D', directory, ...where, '-o', 'server.log', '-v4', ...options);
}

function send(
  side: Side,
  action: 'dump' | 'pre-dump',
  target: Target,
  images: string,
  port: number,
  ...options: string[]
) {
  const args = ['-t', String(target.pid), '-D', images, '-o', `${action}.log`, '-v4', '--page-server'];
  return (side === 'crts' ? crts : criu)(action, ...args, '--address', LOCAL, '--port', String(port), ...options);
}

/** What the server has stored, beside what the dump has. */
function bringTogether(stored: string, images: string): void {
  for (const name of readdirSync(stored)) if (name.startsWith('page')) cpSync(join(stored, name), join(images, name));
}

function restoreFrom(side: Side, target: Target, images: string): void {
  must((side === 'crts' ? crts : criu)('restore', '-d', '-D', images, '-o', 'restore.log', '-v4'));
  target.adoptRestored();
}

async function transfer(sender: Side, receiver: Side, restorer: Side, program = 'kinds'): Promise<void> {
  const target = await Target.program(program, ['DIR', '20261126']);
  const before = snapshot(target.pid);
  const [stored, port] = [place(target, 'stored'), await freePort()];
  const receiving = await server(receiver, stored, port);
  must(send(sender, 'dump', target, target.images, port));
  expect([await receiving.ended, receiving.stderr()]).toEqual([0, expect.anything()]);
  await target.gone();
  expect(readdirSync(target.images).filter((name) => name.startsWith('page'))).toEqual([]);
  bringTogether(stored, target.images);
  restoreFrom(restorer, target, target.images);
  if (sender === 'crts' && restorer === 'crts') expect(snapshot(target.pid)).toEqual(before);
  await target.finish();
}

test.each(['kinds', 'rare-kinds'])('every kind of memory goes to a server and comes back: %s', (program) =>
  transfer('crts', 'crts', 'crts', program),
);
testNeeding(['CRTS_CRIU'])('crts dumps, criu stores', () => transfer('crts', 'criu', 'crts'));
testNeeding(['CRTS_CRIU'])('crts dumps and stores with criu between, criu restores', () =>
  simple('crts', 'criu', 'criu'),
);
testNeeding(['CRTS_CRIU'])('criu dumps, crts stores, crts restores', () => simple('criu', 'crts', 'crts'));
testNeeding(['CRTS_CRIU'])('criu dumps, crts stores, criu restores', () => simple('criu', 'crts', 'criu'));

/** Memory that both can carry. */
async function simple(sender: Side, receiver: Side, restorer: Side): Promise<void> {
  const target = await Target.program('memory', ['DIR/file']);
  const [stored, port] = [place(target, 'stored'), await freePort()];
  const receiving = await server(receiver, stored, port);
  must(send(sender, 'dump', target, target.images, port));
  expect(await receiving.ended).toBe(0);
  await target.gone();
  bringTogether(stored, target.images);
  restoreFrom(restorer, target, target.images);
  await target.finish();
}

test('thirty thousand mappings', async () => {
  const target = await Target.program('mappings', ['many']);
  const [stored, port] = [place(target, 'stored'), await freePort()];
  const receiving = await server('crts', stored, port);
  must(send('crts', 'dump', target, target.images, port));
  expect(await receiving.ended).toBe(0);
  await target.gone();
  bringTogether(stored, target.images);
  restoreFrom('crts', target, target.images);
  await target.finish();
});

/** Pages that a set leaves to the one before. */
function leftToParent(target: Target, stored: string): bigint {
  const reader = ImageReader.openParts(stored);
  try {
    const [, ...entries] = reader.read('pagemap', target.pid) as unknown as { flags: number; nr_pages: bigint }[];
    return entries.reduce((sum, { flags, nr_pages }) => sum + ((flags & 1) !== 0 ? nr_pages : 0n), 0n);
  } finally {
    reader.close();
  }
}

test.each([
  ['increments', ['64']],
  ['kinds', ['DIR', '8']],
  ['rare-kinds', ['DIR', '9']],
])('a chain of pre-dumps and a dump, each on the one before, on both sides: %s', async (program, args) => {
  const target = await Target.program(program, args);
  const left: bigint[] = [];
  for (let number = 0; number < 4; number++) {
    const images = number < 3 ? place(target, `set-${number}`) : target.images;
    const stored = place(target, `stored-${number}`);
    const port = await freePort();
    const base = (name: string) => (number === 0 ? [] : ['--prev-images-dir', `../${name}-${number - 1}`]);
    const receiving = await server('crts', stored, port, ...base('stored'));
    must(send('crts', number < 3 ? 'pre-dump' : 'dump', target, images, port, '--track-mem', ...base('set')));
    expect([await receiving.ended, receiving.stderr()]).toEqual([0, '']);
    left.push(leftToParent(target, stored));
  }
  await target.gone();
  expect(left[0]).toBe(0n);
  for (const pages of left.slice(1)) expect(pages).toBeGreaterThan(0n);
  for (let number = 0; number < 4; number++)
    bringTogether(
      join(target.directory, `stored-${number}`),
      number < 3 ? join(target.directory, `set-${number}`) : target.images,
    );
  restoreFrom('crts', target, target.images);
  await target.finish();
});

test('pages that came anew are dropped from the parent set', async () => {
  const target = await Target.program('increments', ['64']);
  const sets = ['set-0', 'set-1'].map((name) => place(target, name));
  for (const [number, images] of sets.entries()) {
    const port = await freePort();
    const base = number === 0 ? [] : ['--prev-images-dir', '../set-0'];
    const receiving = await server('crts', images, port, '--auto-dedup', ...base);
    must(send('crts', number === 0 ? 'pre-dump' : 'dump', target, images, port, '--track-mem', ...base));
    expect([await receiving.ended, receiving.stderr()]).toEqual([0, '']);
  }
  await target.gone();
  restoreFrom('crts', target, sets[1]!);
  await target.finish();
});

/** Answers, takes the first pages, and dies. */
const DYING = `
const server = require('node:net').createServer((socket) => {
  let bytes = 0;
  socket.on('error', () => undefined);
  socket.on('data', (data) => {
    if (bytes === 0) socket.write(Buffer.from([0]));
    bytes += data.length;
    if (bytes > 100000) process.kill(process.pid, 'SIGKILL');
  });
});
server.listen(Number(process.argv[1]), '${LOCAL}', () => console.log('ready'));`;

test('the server dies in the middle: the program runs on, and has nothing of it', async () => {
  const target = await Target.program('lazy-memory', ['64']);
  const before = snapshot(target.pid);
  const port = await freePort();
  const dying = spawn(process.execPath, ['-e', DYING, String(port)], { stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise((resolve) => {
    dying.stdout.once('data', resolve);
  });
  const { status, stderr } = send('crts', 'dump', target, target.images, port);
  expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_PAGE_SERVER]')]);
  expect(snapshot(target.pid)).toEqual(before);
  await target.finish();
});

test('nobody listens: the program runs on', async () => {
  const target = await kinds();
  const before = snapshot(target.pid);
  const port = await freePort();
  const { status, stderr } = send('crts', 'dump', target, target.images, port);
  expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_PAGE_SERVER]')]);
  expect(snapshot(target.pid)).toEqual(before);
  expect(existsSync(join(target.images, 'inventory.img'))).toBe(false);
  await target.finish();
});

test('the server goes into the background and writes its pid', async () => {
  const target = await kinds();
  const [stored, port] = [place(target, 'stored'), await freePort()];
  const where = ['--address', LOCAL, '--port', String(port)];
  must(crts('page-server', '-D', stored, ...where, '-d', '--pidfile', 'server.pid', '-o', 'server.log', '-v4'));
  expect(Number(readFileSync(join(stored, 'server.pid'), 'utf8'))).toBeGreaterThan(1);
  must(send('crts', 'dump', target, target.images, port));
  await target.gone();
  bringTogether(stored, target.images);
  restoreFrom('crts', target, target.images);
  await target.finish();
});
