// node tools/bench/bench.mjs [trivial|memory|256MiB|1GiB|fds|10fds|1000fds|10000fds]... [--rounds N] [--seed N] [--dir DIR] [--json FILE]
//
// Whole-process time, frozen time and peak memory of dump and restore, of crts and of the criu that CRTS_CRIU names, in
// the same run: each round takes the peers in random order; a first round warms up and is not counted. Prints medians
// and, as what counts, ratios of the same round. Needs root and a C compiler. Nothing is asserted.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { report, reportStartUp } from './report.mjs';
import { random, shuffled } from './statistics.mjs';
import { frozenTimeUs } from './stats-image.mjs';

const CASES = {
  trivial: { mebibytes: 0, rounds: 15 },
  '256MiB': { mebibytes: 256, rounds: 7 },
  '1GiB': { mebibytes: 1024, rounds: 5 },
  '10fds': { descriptors: 10, rounds: 7 },
  '1000fds': { descriptors: 1000, rounds: 7 },
  '10000fds': { descriptors: 10_000, rounds: 5 },
};
const GROUPS = { memory: ['256MiB', '1GiB'], fds: ['10fds', '1000fds', '10000fds'] };
/** What is run without names on the command line. */
const USUAL = ['trivial', '256MiB', '1GiB'];
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
const unknown = names.find((name) => CASES[name] === undefined);
if (unknown !== undefined)
  throw new Error(`no case ${unknown}: ${[...Object.keys(CASES), ...Object.keys(GROUPS)].join(', ')}`);

enterPrivateMountNamespace();
const seed = Number(options.seed ?? Date.now() % 1_000_000_000);
const next = random(seed);
const directory = mkdtempSync(join(options.dir ?? tmpdir(), 'crts-bench-'));
const measure = compile('measure');
const program = compile('program');
const descriptors = compile('descriptors');
const peers = { crts: process.env.CRTS_BIN ?? join(root, 'packages/cli/bin/crts.js') };
if (process.env.CRTS_CRIU !== undefined) peers.criu = process.env.CRTS_CRIU;
else console.log('CRTS_CRIU names no criu: no ratios');

const all = {};
try {
  console.log(`seed ${seed}, images in ${directory}, node ${process.version}`);
  for (const name of names) {
    all[name] = await bench(CASES[name], Number(options.rounds ?? CASES[name].rounds));
    report(name, all[name], next);
    if (name === 'trivial') reportStartUp(all[name], next);
  }
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify({ seed, samples: all }));
} finally {
  rmSync(directory, { recursive: true, force: true });
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
  const out = join(directory, name);
  execFileSync('cc', ['-O2', '-Wall', '-o', out, join(import.meta.dirname, `${name}.c`)]);
  return out;
}

/** One sample of each peer a round: { crts: [{dump, restore, frozenUs}, ...], criu: ..., node: [{wallUs, ...}] }. */
async function bench(which, rounds) {
  const samples = { node: [] };
  for (const peer of Object.keys(peers)) samples[peer] = [];
  for (let round = -1; round < rounds; round++) {
    for (const peer of shuffled(Object.keys(samples), next)) {
      const sample = peer === 'node' ? run(process.execPath, '-e', '0') : await cycle(peers[peer], which);
      if (round >= 0) samples[peer].push(sample);
    }
  }
  return samples;
}

/** A fresh program is dumped, gone, restored, and ended. */
async function cycle(bin, { mebibytes = 0, descriptors: count }) {
  const images = join(directory, 'images');
  mkdirSync(images);
  const ready = join(directory, 'ready');
  const command = count === undefined ? [program, ready, String(mebibytes)] : [descriptors, ready, String(count)];
  const child = spawn(command[0], command.slice(1), { detached: true, stdio: 'ignore', cwd: '/' });
  const { pid } = child;
  child.unref();
  try {
    await until('the program to be ready', () => existsSync(ready));
    const dump = run(bin, 'dump', '-t', String(pid), '-D', images, '-o', 'dump.log');
    await until('the program to be gone', () => !existsSync(`/proc/${pid}`));
    const frozenUs = frozenTimeUs(join(images, 'stats-dump'));
    const restore = run(bin, 'restore', '-d', '-D', images, '-o', 'restore.log');
    if (ended(pid)) throw new Error('the restored program is not there');
    return { dump, restore, frozenUs };
  } finally {
    if (!ended(pid)) process.kill(pid, 'SIGKILL');
    await until('the program to be ended', () => ended(pid));
    rmSync(images, { recursive: true });
    rmSync(ready, { force: true });
    // What this sample left for the disk to write is not to slow down the next one.
    if (mebibytes > 0) spawnSync('sync');
  }
}

/** Gone, or dead and waiting for an init that takes its time. */
function ended(pid) {
  try {
    return /^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return true;
  }
}

function run(...command) {
  const result = join(directory, 'result');
  rmSync(result, { force: true });
  const { stderr } = spawnSync(measure, [result, ...command], { encoding: 'utf8' });
  const sample = JSON.parse(readFileSync(result, 'utf8'));
  if (sample.status !== 0) throw new Error(`${command.join(' ')}: exit ${sample.status}: ${stderr}`);
  return sample;
}

async function until(what, condition) {
  for (let tries = 0; tries < 10_000; tries++) {
    if (condition()) return;
    await sleep(2);
  }
  throw new Error(`waited in vain for ${what}`);
}
