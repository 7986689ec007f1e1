import { readFileSync } from 'node:fs';
import { rawSyscall } from '@crts/native-syscalls';

/** An init process may collect its orphans at intervals (seen: every two seconds). */
const WAIT_MAX_MS = 5000;
const PAUSE_MS = 5;
const ESRCH = 3;

/**
 * Waits for the dead of the dump that nobody has reaped yet: those whose parents ended with them come to init, and until
 * it takes notice their numbers, groups and sessions are in use. What is in use by the living is left to clone3 to tell, and so are
 * the dead that nobody waits for (CRTS_PID_TAKEN).
 */
export function waitForLingering(pids: readonly number[]): void {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  const end = Date.now() + WAIT_MAX_MS;
  for (const pid of pids) {
    while (isZombie(pid) && Date.now() < end) Atomics.wait(sleeper, 0, 0, PAUSE_MS);
  }
}

function isZombie(pid: number): boolean {
  // Mostly the number is free, and one call tells.
  if (rawSyscall('kill', pid, 0) === -ESRCH) return false;
  try {
    return /\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}
