import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from './checkpointer';

const FLAGS = ['-O1', '-Wall', '-Wextra', '-Werror', '-mfsgsbase'];

const HEADERS = ['check.h', 'pattern.h', 'kinds.h'];

const programs = join(repository, 'e2e/programs');

/** Compiles e2e/programs/NAME.c, once for each content, set of flags and compiler. */
export function compile(name: string, flags: readonly string[] = [], compiler = 'cc'): string {
  return built(name, [`${name}.c`, ...HEADERS], (source, out) => [
    compiler,
    ...FLAGS,
    '-o',
    out,
    source,
    '-lm',
    ...flags,
  ]);
}

/** Compiles e2e/programs/NAME.go. */
export function compileGo(name: string): string {
  return built(name, [`${name}.go`], (source, out) => ['go', 'build', '-o', out, source]);
}

/** Compiles e2e/programs/NAME.rs. */
export function compileRust(name: string): string {
  return built(name, [`${name}.rs`], (source, out) => ['rustc', '-O', '-o', out, source]);
}

/** The first of `files` is the source. */
function built(name: string, files: readonly string[], command: (source: string, out: string) => string[]): string {
  const source = join(programs, files[0]!);
  const hash = createHash('sha1').update(JSON.stringify(command('', '')));
  for (const file of files) hash.update(readFileSync(join(programs, file)));
  const directory = join(repository, 'e2e/build');
  const out = join(directory, `${name}-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(out)) return out;
  mkdirSync(directory, { recursive: true });
  // Two workers may compile the same program: each to its own name, and the rename is atomic.
  const part = `${out}.${process.pid}`;
  const [compiler, ...args] = command(source, part);
  execFileSync(compiler!, args);
  renameSync(part, out);
  return out;
}
