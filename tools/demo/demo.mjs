// npm run demo: a bash that nobody prepared counts into a file; it is dumped, gone, restored, and counts on.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { demandRoot, root, setup } from '../workspace/setup.mjs';

demandRoot('the demo');
setup();
const directory = mkdtempSync(join(tmpdir(), 'crts-demo-'));
const output = join(directory, 'counter.txt');
const images = join(directory, 'images');
mkdirSync(images);
const crts = (...args) => {
  console.log(`$ crts ${args.join(' ')}`);
  const { status } = spawnSync(join(root, 'packages/cli/bin/crts.js'), args, { stdio: 'inherit' });
  if (status !== 0) throw new Error(`crts ${args[0]} failed`);
};
const count = () => Number(readFileSync(output, 'utf8').trim().split('\n').at(-1));
async function until(what, condition) {
  for (let tries = 0; tries < 200; tries++) {
    if (condition()) return;
    await sleep(50);
  }
  throw new Error(`waited in vain for ${what}`);
}

// The caller's shell may hand down descriptors (CI runners do): the program lets go of all but 0, 1 and 2. It counts with
// bash alone, so that it has no child at the moment of the dump.
const COUNTER = `
  for fd in /proc/$$/fd/*; do fd=\${fd##*/}; ((fd > 2)) && eval "exec $fd>&-"; done
  while :; do echo $((++i)); for ((j = 0; j < 30000; j++)); do :; done; done`;

let pid;
try {
  const file = openSync(output, 'a');
  // detached: its own session, so that it does not end with this one.
  const program = spawn('bash', ['-c', COUNTER], { detached: true, stdio: ['ignore', file, file] });
  pid = program.pid;
  await until('the program to count', () => existsSync(output) && readFileSync(output, 'utf8').split('\n').length > 5);
  console.log(`\nbash, pid ${pid}, counts: ${count()}`);
  crts('dump', '-t', String(pid), '-D', images);
  await until('the program to be gone', () => !existsSync(`/proc/${pid}`));
  const before = count();
  await sleep(500);
  if (count() !== before) throw new Error('somebody still counts');
  console.log(`gone: /proc/${pid} does not exist; the count stays at ${before}`);
  crts('restore', '-d', '-D', images);
  await until('the program to count on', () => count() > before + 3);
  const numbers = readFileSync(output, 'utf8').trim().split('\n').map(Number);
  if (numbers.some((number, index) => number !== index + 1)) throw new Error('a number is missing');
  console.log(`back: pid ${pid} counts on: ${count()}, and not one number is missing\n`);
} catch (error) {
  console.error(`\nthe demo failed: ${error.message}`);
  process.exitCode = 1;
} finally {
  if (pid !== undefined && existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
  rmSync(directory, { recursive: true, force: true });
}
