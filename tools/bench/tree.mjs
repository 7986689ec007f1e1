// Processes of the program under measurement.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** The process and all below it. */
export function tree(pid) {
  try {
    const below = readdirSync(`/proc/${pid}/task`).flatMap((tid) =>
      readFileSync(`/proc/${pid}/task/${tid}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
    return [pid, ...below.flatMap(tree)];
  } catch {
    return [];
  }
}

/** What the processes take together, pages that they share counted once. */
export function memoryKib(pids) {
  const rollups = pids.map((pid) => readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
  return rollups.reduce((sum, text) => sum + Number(/^Pss:\s+(\d+) kB$/m.exec(text)[1]), 0);
}

/** Gone, or dead and waiting for an init that takes its time. */
export function ended(pid) {
  try {
    return /^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return true;
  }
}

/** Ends those of `pids`, which were the program's, that still run; only their root is named, the others go with it. */
export async function end(pids) {
  if (!ended(pids[0])) process.kill(pids[0], 'SIGKILL');
  await until('the program to be ended', () => pids.every(ended));
}

export async function until(what, condition) {
  for (let tries = 0; tries < 30_000; tries++) {
    if (condition()) return;
    await sleep(2);
  }
  throw new Error(`waited in vain for ${what}`);
}
