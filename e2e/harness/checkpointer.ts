/** Runs crts (or a CRIU that CRTS_CRIU names) as a user does: the command line, its exit code, its stderr. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export const repository = join(__dirname, '../..');
const bin = process.env.CRTS_BIN ?? join(repository, 'packages/cli/bin/crts.js');

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function crts(...args: string[]): Outcome {
  return run(bin, args);
}

/** A working criu, for tests of interchange. */
export const criuBinary = process.env.CRTS_CRIU;

export function criu(...args: string[]): Outcome {
  if (criuBinary === undefined || !existsSync(criuBinary)) throw new Error('CRTS_CRIU names no criu');
  return run(criuBinary, args);
}

function run(command: string, args: string[]): Outcome {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 60_000 });
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}

/** The command must succeed; its stderr is shown when it does not. */
export function must(outcome: Outcome): Outcome {
  if (outcome.status !== 0) throw new Error(`exit ${outcome.status}: ${outcome.stderr}${outcome.stdout}`);
  return outcome;
}
