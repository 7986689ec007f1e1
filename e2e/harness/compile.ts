import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from './checkpointer';

const FLAGS = ['-O1', '-Wall', '-Wextra', '-Werror', '-mfsgsbase'];

/** Compiles e2e/programs/NAME.c, once for each content, set of flags and compiler. */
export function compile(name: string, flags: readonly string[] = [], compiler = 'cc'): string {
  const programs = join(repository, 'e2e/programs');
  const source = join(programs, `${name}.c`);
  const hash = createHash('sha1').update(JSON.stringify([FLAGS, flags, compiler]));
  for (const file of [source, join(programs, 'check.h'), join(programs, 'pattern.h')]) hash.update(readFileSync(file));
  const directory = join(repository, 'e2e/build');
  const out = join(directory, `${name}-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(out)) return out;
  mkdirSync(directory, { recursive: true });
  // Two workers may compile the same program: each to its own name, and the rename is atomic.
  const part = `${out}.${process.pid}`;
  execFileSync(compiler, [...FLAGS, '-o', part, source, '-lm', ...flags]);
  renameSync(part, out);
  return out;
}
