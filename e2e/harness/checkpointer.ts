/** Runs crts (or a CRIU that CRTS_CRIU names) as a user does: the command line, its exit code, its stderr. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const repository = join(__dirname, '../..');
/** CRTS_BIN names another program with the same command line: criu itself proves the harness and the programs. */
export const crtsBinary = process.env.CRTS_BIN ?? join(repository, 'packages/cli/bin/crts.js');

/** Where crts may make temporary files: empty after each test. */
export const temporaryDirectory = mkdtempSync(join(tmpdir(), 'crts-e2e-tmp-'));
const env = { ...process.env, TMPDIR: temporaryDirectory };

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function crts(...args: string[]): Outcome {
  return run(crtsBinary, args);
}

/** With descriptors of this process, as 3, 4 and so on. */
export function crtsInheriting(fds: readonly number[], ...args: string[]): Outcome {
  return run(crtsBinary, args, fds);
}

/** A working criu, for tests of interchange. */
export const criuBinary = process.env.CRTS_CRIU;

export function criu(...args: string[]): Outcome {
  if (criuBinary === undefined || !existsSync(criuBinary)) throw new Error('CRTS_CRIU names no criu');
  return run(criuBinary, args);
}

export function criuInheriting(fds: readonly number[], ...args: string[]): Outcome {
  if (criuBinary === undefined) throw new Error('CRTS_CRIU names no criu');
  return run(criuBinary, args, fds);
}

function run(command: string, args: string[], fds: readonly number[] = []): Outcome {
  const stdio: (number | 'pipe')[] = ['pipe', 'pipe', 'pipe', ...fds];
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 60_000, env, stdio });
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}

/** Starts crts and kills it with SIGKILL after a while, unless it ended before. Says whether it was killed. */
export async function crtsKilledAfter(milliseconds: number, ...args: string[]): Promise<boolean> {
  const child = spawn(crtsBinary, args, { stdio: 'ignore', env });
  const end = new Promise<boolean>((resolve, reject) => {
    child.once('exit', (_status, signal) => resolve(signal === 'SIGKILL'));
    child.once('error', reject);
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), milliseconds);
  try {
    return await end;
  } finally {
    clearTimeout(timer);
  }
}

/** The command must succeed; its stderr is shown when it does not. */
export function must(outcome: Outcome): Outcome {
  if (outcome.status !== 0) throw new Error(`exit ${outcome.status}: ${outcome.stderr}${outcome.stdout}`);
  return outcome;
}
