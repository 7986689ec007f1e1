// node tools/bench/bench.mjs [CASE|GROUP]... [--rounds N] [--seed N] [--dir DIR] [--json FILE]
//
// Whole-process time, frozen time, peak memory and image size of dump and restore, of crts and of the criu that CRTS_CRIU names, in
// the same run: each round takes the peers in random order; a first round warms up and is not counted. Prints medians
// and, as what counts, ratios of the same round. Needs root and a C compiler. Nothing is asserted. cases.mjs has the cases.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { caseOf, defaultDirectory, GROUPS, noRoomFor, USUAL } from './cases.mjs';
import { report, reportStartUp } from './report.mjs';
import { random, shuffled } from './statistics.mjs';
import { frozenTimeUs } from './stats-image.mjs';
import { end, ended, memoryKib, tree, until } from './tree.mjs';

const root = join(import.meta.dirname, '../..');

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    seed: { type: 'string' },
    dir: { type: 'string' },
    json: { type: 'string' },
  },
});
const names = (positionals.length > 0 ? positionals : USUAL).flatMap((name) => GROUPS[name] ?? [name]);
// A name that is none is told before anything is measured.
const cases = names.map((name) => [name, caseOf(name, options.dir ?? defaultDirectory)]);

// Node reads these certificates at its start, needed or not: 50 ms for a usual file of them.
delete process.env.NODE_EXTRA_CA_CERTS;
enterPrivateMountNamespace();
const seed = Number(options.seed ?? Date.now() % 1_000_000_000);
const next = random(seed);
/** Programs, small things, and what a program of a case leaves. */
const scratch = mkdtempSync(join(defaultDirectory, 'crts-bench-'));
const programs = Object.fromEntries(
  ['measure', 'limit', 'program', 'descriptors', 'watches'].map((name) => [name, compile(name)]),
);
const peers = { crts: process.env.CRTS_BIN ?? join(root, 'packages/cli/bin/crts.js') };
if (process.env.CRTS_CRIU !== undefined) peers.criu = process.env.CRTS_CRIU;
else console.log('CRTS_CRIU names no criu: no ratios');

const all = {};
try {
  console.log(`seed ${seed}, node ${process.version}, ${availableParallelism()} CPUs`);
  for (const [name, which] of cases) {
    const why = noRoomFor(which);
    if (why !== undefined) {
      console.log(`\n${name}: left out: ${why}`);
      continue;
    }
    all[name] = await bench(which, Number(options.rounds ?? which.rounds));
    report(name, all[name], next);
    if (name === 'trivial') reportStartUp(all[name], next);
  }
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify({ seed, samples: all }));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/**
 * CRIU keeps what it found out about the kernel in /run/criu.kdat, and only when /run is a tmpfs. This program runs itself
 * again where it is one, seen by nobody else.
 */
function enterPrivateMountNamespace() {
  if (process.env.CRTS_BENCH_NAMESPACE !== undefined) return;
  const { status } = spawnSync(
    'unshare',
    ['-m', 'sh', '-c', 'mount -t tmpfs none /run && exec "$@"', 'sh', process.execPath, ...process.argv.slice(1)],
    { stdio: 'inherit', env: { ...process.env, CRTS_BENCH_NAMESPACE: '1' } },
  );
  process.exit(status ?? 1);
}

function compile(name) {
  const out = join(scratch, name);
  execFileSync('cc', ['-O2', '-Wall', '-pthread', '-o', out, join(import.meta.dirname, `${name}.c`)]);
  return out;
}

/** What takes part in a round: the peers, and what they are compared with. */
function rivals(which) {
  const compared =
    which.mebibytes > 0 && which.isShared !== true && which.isLazy !== true
      ? { limit: () => limit(which) }
      : { node: () => run(process.execPath, '-e', '0') };
  return {
    ...compared,
    ...Object.fromEntries(Object.entries(peers).map(([peer, bin]) => [peer, () => cycle(bin, which)])),
  };
}

/**
 * One sample of each a round: { crts: [{dump, restore, frozenUs, imageBytes}, ...], criu: ..., limit: ... }. Who fails, as CRIU at what it does not
 * carry, is told and left out.
 */
async function bench(which, rounds) {
  const all = rivals(which);
  const samples = Object.fromEntries(Object.keys(all).map((name) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    for (const name of shuffled(Object.keys(samples), next)) {
      try {
        const sample = await all[name]();
        if (round >= 0) samples[name].push(sample);
      } catch (error) {
        if (name === 'crts') throw error;
        console.log(`${name} is left out: ${error.message}`);
        delete samples[name];
      }
    }
  }
  return samples;
}

/** A fresh program is dumped, gone, restored, and ended. */
async function cycle(bin, { command: [name, ...args], directory, mebibytes, isShared, isLazy }) {
  const images = mkdtempSync(join(directory, 'crts-bench-images-'));
  const ready = join(scratch, 'ready');
  const replaced = args.map((arg) => (arg === 'SCRATCH' ? join(scratch, 'watched') : arg));
  const child = spawn(programs[name], [ready, ...replaced], { detached: true, stdio: 'ignore', cwd: '/' });
  const { pid } = child;
  child.unref();
  let pids = [pid];
  try {
    await until('the program to be ready', () => existsSync(ready) || ended(pid));
    pids = tree(pid);
    if (pids.length === 0) throw new Error(`${name} ${args.join(' ')} cannot be set up`);
    const beforeKib = isShared ? memoryKib(pids) : undefined;
    const dump = run(bin, 'dump', '-t', String(pid), '-D', images, '-o', 'dump.log');
    await until('the program to be gone', () => !pids.some((one) => existsSync(`/proc/${one}`)));
    const frozenUs = frozenTimeUs(join(images, 'stats-dump'));
    const imageBytes = diskUsage(images);
    const restoring = ['restore', '-d', '-D', images, '-o', 'restore.log'];
    if (isLazy) {
      const { restore, startUs } = await lazily(bin, images, ready, restoring);
      return { dump, restore, frozenUs, imageBytes, startUs };
    }
    const restore = run(bin, ...restoring);
    if (pids.some(ended)) throw new Error('the restored program is not there');
    const treeKib = isShared ? [beforeKib, memoryKib(pids)] : undefined;
    return { dump, restore, frozenUs, imageBytes, treeKib };
  } finally {
    await end(pids);
    rmSync(images, { recursive: true });
    for (const file of [ready, `${ready}.marks`]) rmSync(file, { force: true });
    // What this sample left for the disk to write is not to slow down the next one.
    if (mebibytes > 0) spawnSync('sync');
  }
}

/**
 * When the program ran, and when it had a page of its memory, from the begin of the restore. CRIU needs a server, which waits beforehand; crts
 * starts its own meanwhile.
 */
async function lazily(bin, images, ready, restoring) {
  const server =
    bin === peers.criu
      ? spawn(bin, ['lazy-pages', '-D', images, '-o', 'lazy-pages.log'], { stdio: 'ignore' })
      : undefined;
  const served = new Promise((resolve) => server?.once('close', resolve) ?? resolve());
  if (server !== undefined) await until('the server to wait', () => existsSync(join(images, 'lazy-pages.socket')));
  const words = openSync(`${ready}.marks`, 'r+');
  const read = () => {
    const bytes = Buffer.alloc(24);
    readSync(words, bytes, 0, 24, 0);
    return [bytes.readBigInt64LE(8), bytes.readBigInt64LE(16)].map(Number);
  };
  try {
    writeSync(words, Buffer.from([1]), 0, 1, 0);
    const restore = run(bin, ...restoring, '--lazy-pages');
    await until('the program to have its memory', () => read()[1] !== 0);
    await served;
    return { restore, startUs: read().map((when) => when - restore.beginUs) };
  } finally {
    closeSync(words);
  }
}

/** Bytes that the images take up, holes not counted. */
function diskUsage(images) {
  return readdirSync(images).reduce((sum, name) => sum + statSync(join(images, name)).blocks * 512, 0);
}

/** The same amount of memory, written and read as plainly as can be. */
function limit({ directory, mebibytes }) {
  const place = mkdtempSync(join(directory, 'crts-bench-limit-'));
  try {
    const threads = String(availableParallelism());
    const { status, stdout, stderr } = spawnSync(programs.limit, [join(place, 'file'), String(mebibytes), threads], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`limit: exit ${status} ${stderr}`);
    return JSON.parse(stdout);
  } finally {
    rmSync(place, { recursive: true });
    spawnSync('sync');
  }
}

function run(...command) {
  const result = join(scratch, 'result');
  rmSync(result, { force: true });
  const { stderr } = spawnSync(programs.measure, [result, ...command], { encoding: 'utf8' });
  const sample = JSON.parse(readFileSync(result, 'utf8'));
  if (sample.status !== 0) throw new Error(`${command.join(' ')}: exit ${sample.status}: ${stderr}`);
  return sample;
}
