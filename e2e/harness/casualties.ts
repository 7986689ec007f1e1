/** Commands that run side by side while one of them is killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { crtsBinary, temporaryDirectory } from './checkpointer';

export interface End {
  /** Exit code, or the signal that ended it. */
  readonly how: number | string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly end: Promise<End>;
}

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Starts crts, not to be waited for yet. */
export function begin(...args: string[]): Running {
  const child = spawn(crtsBinary, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, TMPDIR: temporaryDirectory },
  });
  let stderr = '';
  child.stderr!.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const end = new Promise<End>((resolve, reject) => {
    // The error output of what it has started may be the same.
    child.once('exit', (status, signal) => setImmediate(() => resolve({ how: status ?? signal ?? 'gone', stderr })));
    child.once('error', reject);
  });
  return { child, end };
}

/** What does not end in time hangs. */
export async function within<T>(seconds: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} hangs`)), seconds * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Processes of a group that live. */
export function livingOf(pgid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
        const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return Number(group) === pgid && state !== 'Z' && state !== 'X';
      } catch {
        return false;
      }
    });
}

/** Processes whose command line has all these words, or that have this name. */
export function commandsWith(...words: string[]): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return words.every((word) => line.includes(word));
      } catch {
        return false;
      }
    });
}
