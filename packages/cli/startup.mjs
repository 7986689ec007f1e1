// node packages/cli/startup.mjs [ROUNDS]: what crts costs beside a bare node. Every round runs every command once, in random order,
// and differences are taken within a round, because this machine's speed drifts (docs/performance.md).
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

// Node reads these certificates at its start, needed or not: 50 ms for a usual file of them.
delete process.env.NODE_EXTRA_CA_CERTS;
const rounds = Number(process.argv[2] ?? 40);
const bin = join(import.meta.dirname, 'bin/crts.js');
const cache = join(import.meta.dirname, 'dist/cache');
const scratch = mkdtempSync(join(tmpdir(), 'crts-startup-'));
const images = mkdtempSync(join(scratch, 'images-'));

// The trivial process: one that sleeps, with nothing but /dev/null.
const closing = `for f in /proc/$$/fd/*; do f=\${f##*/}; [ $f -gt 2 ] && eval "exec $f>&-"; done; exec sleep 1000`;
const target = spawn('bash', ['-c', closing], { detached: true, stdio: 'ignore' });
await sleep(300);

function time(args) {
  const start = process.hrtime.bigint();
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  const ms = Number(process.hrtime.bigint() - start) / 1e6;
  if (status !== 0) throw new Error(stderr);
  return ms;
}
const dump = () => time([bin, 'dump', '-t', String(target.pid), '-D', images, '-R']);
const commands = {
  'node -e 0': () => time(['-e', '0']),
  'crts --version': () => time([bin, '--version']),
  'crts dump -R': dump,
  'crts dump -R, no code cache': () => {
    renameSync(cache, `${cache}-off`);
    try {
      return dump();
    } finally {
      rmSync(cache, { recursive: true, force: true });
      renameSync(`${cache}-off`, cache);
    }
  },
};

const median = (values) => values.slice().sort((a, b) => a - b)[Math.floor(values.length / 2)];
function interval(values) {
  const medians = Array.from({ length: 2000 }, () =>
    median(values.map(() => values[Math.floor(Math.random() * values.length)])),
  )
    .slice()
    .sort((a, b) => a - b);
  return [medians[50], medians[1949]];
}

try {
  dump();
  if (!existsSync(cache) || readdirSync(cache).length === 0) throw new Error('no code cache was made');
  const times = Object.fromEntries(Object.keys(commands).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    const order = Object.keys(commands)
      .slice()
      .sort(() => Math.random() - 0.5);
    for (const name of order) times[name].push(commands[name]());
  }
  const bare = times['node -e 0'];
  console.log(`| command | min ms | median ms | over bare node [95 %], ${rounds} rounds |\n|---|---|---|---|`);
  for (const [name, values] of Object.entries(times)) {
    const deltas = values.map((value, round) => value - bare[round]);
    const [low, high] = interval(deltas).map((ms) => ms.toFixed(0));
    console.log(
      `| \`${name}\` | ${Math.min(...values).toFixed(0)} | ${median(values).toFixed(0)} | ${median(deltas).toFixed(0)} [${low}, ${high}] |`,
    );
  }
} finally {
  process.kill(target.pid, 'SIGKILL');
  rmSync(scratch, { recursive: true });
}
