/** What a test needs beside crts. Without it the test is skipped, under a name that says what is missing. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { criuBinary, repository } from './checkpointer';
import { canHave } from './huge-pages';

/** A library beside crts: an optional dependency of it. */
const isInstalled = (library: string) => () => {
  try {
    require.resolve(library, { paths: [join(repository, 'packages/cli')] });
    return true;
  } catch {
    return false;
  }
};

type Body = () => Promise<void>;

const PROBES: Record<string, () => boolean> = {
  CRTS_CRIU: () => criuBinary !== undefined && existsSync(criuBinary),
  AMX: () => readFileSync('/proc/cpuinfo', 'utf8').includes(' amx_tile '),
  // Debian keeps the server's programs out of PATH.
  'postgres 15': () => existsSync('/usr/lib/postgresql/15/bin/postgres') && inPath('psql'),
  zstd: isInstalled('@toondepauw/node-zstd'),
  lz4: isInstalled('lz4-napi'),
  'huge pages': () => canHave(2048, 16),
  'huge pages of 1 GiB': () => canHave(1048576, 1),
  // The system's python has crit's protobuf package, whatever python comes first in PATH.
  crit: () => spawnSync('/usr/bin/python3', ['-c', 'import pycriu']).status === 0,
};

const known = new Map<string, boolean>();

export function missing(needs: readonly string[]): string[] {
  return needs.filter((need) => {
    if (!known.has(need)) known.set(need, (PROBES[need] ?? (() => inPath(need)))());
    return !known.get(need);
  });
}

function inPath(program: string): boolean {
  return (process.env.PATH ?? '').split(':').some((directory) => existsSync(join(directory, program)));
}

export function testNeeding(needs: readonly string[]): (name: string, body: Body, timeout?: number) => void {
  const lacking = missing(needs);
  if (lacking.length === 0) return (name, body, timeout) => test(name, body, timeout);
  return (name) => test.skip(`${name} (needs ${lacking.join(', ')})`, () => undefined);
}
