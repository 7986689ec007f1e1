/** Programs under test: started in a session of their own with three clean descriptors, and ended whatever happens. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rawSyscall } from '@crts/native-syscalls';
import { crts, must, type Outcome, repository } from './checkpointer';

const PR_SET_CHILD_SUBREAPER = 36;
const WNOHANG = 1;

// Restored programs whose parent was crts become children of this process, so that it can wait for them.
rawSyscall('prctl', PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);

/** Compiles e2e/programs/NAME.c once for each content. */
export function compile(name: string, flags: readonly string[] = [], compiler = 'cc'): string {
  const directory = join(repository, 'e2e/build');
  const sources = [join(repository, `e2e/programs/${name}.c`), join(repository, 'e2e/programs/check.h')];
  const hash = createHash('sha1');
  for (const source of sources) hash.update(readFileSync(source));
  const out = join(
    directory,
    `${name}-${hash
      .update(flags.join(' ') + compiler)
      .digest('hex')
      .slice(0, 12)}`,
  );
  if (existsSync(out)) return out;
  mkdirSync(directory, { recursive: true });
  const part = `${out}.${process.pid}`;
  execFileSync(compiler, [
    '-O1',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-mfsgsbase',
    '-o',
    part,
    sources[0]!,
    '-lm',
    ...flags,
  ]);
  renameSync(part, out);
  return out;
}

export async function until(what: string, condition: () => boolean, tries = 400): Promise<void> {
  for (let attempt = 0; attempt < tries; attempt++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`waited in vain for ${what}`);
}

const live: Target[] = [];

/** A running program and the directory of its test. */
export class Target {
  readonly directory: string;
  readonly images: string;
  readonly output: string;
  readonly go: string;
  pid = 0;

  private constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'crts-e2e-'));
    chmodSync(this.directory, 0o755);
    this.images = join(this.directory, 'images');
    this.output = join(this.directory, 'output');
    this.go = join(this.directory, 'go');
    mkdirSync(this.images);
  }

  /** Starts `command`; in its arguments GO, DIR and OUT stand for the go file, the directory and the output file. */
  static start(
    command: string,
    args: readonly string[],
    options: { cwd?: string; env?: Record<string, string> } = {},
  ): Target {
    const target = new Target();
    const replace = (text: string) =>
      text.replaceAll('GO', target.go).replaceAll('DIR', target.directory).replaceAll('OUT', target.output);
    const output = openSync(target.output, 'a');
    const child = spawn(compile('launch'), [command, ...args.map(replace)], {
      detached: true,
      stdio: ['ignore', output, output],
      cwd: options.cwd ?? target.directory,
      env: { PATH: process.env.PATH ?? '', LANG: 'C.UTF-8', ...options.env },
    });
    closeSync(output);
    if (child.pid === undefined) throw new Error(`${command} cannot be started`);
    child.unref();
    target.pid = child.pid;
    live.push(target);
    return target;
  }

  static async program(name: string, args: readonly string[] = [], flags: readonly string[] = []): Promise<Target> {
    const target = Target.start(compile(name, flags), ['GO', ...args]);
    await until(`${name} to be ready`, () => target.text().includes('ready') || !target.alive());
    if (!target.alive()) throw new Error(`${name} ended at once: ${target.text()}`);
    return target;
  }

  text(): string {
    return readFileSync(this.output, 'utf8');
  }

  lastNumber(): number {
    return Number(this.text().trimEnd().split('\n').at(-1));
  }

  alive(): boolean {
    this.reap();
    return existsSync(`/proc/${this.pid}`) && !/^State:\s+[ZX]/m.test(this.proc('status'));
  }

  proc(file: string): string {
    try {
      return readFileSync(`/proc/${this.pid}/${file}`, 'utf8');
    } catch {
      return 'State: X';
    }
  }

  async gone(): Promise<void> {
    await until(`pid ${this.pid} to be gone`, () => {
      this.reap();
      return !existsSync(`/proc/${this.pid}`);
    });
  }

  /** Waits for the dead: node does it for its own children, this for restored ones. */
  private reap(): void {
    rawSyscall('wait4', this.pid, null, WNOHANG, null);
  }

  dump(...options: string[]): Outcome {
    return crts('dump', '-t', String(this.pid), '-D', this.images, '-o', 'dump.log', '-v4', ...options);
  }

  restore(...options: string[]): Outcome {
    return crts('restore', '-d', '-D', this.images, '-o', 'restore.log', '-v4', ...options);
  }

  /** Dump, gone, restore. */
  async cycle(...options: string[]): Promise<void> {
    must(this.dump(...options));
    await this.gone();
    must(this.restore(...options));
    if (!this.alive()) throw new Error('the restored program is dead');
  }

  /** Lets the program check itself and demands that it is content. */
  async finish(): Promise<void> {
    writeFileSync(this.go, '');
    await until('the program to end', () => !this.alive());
    if (!this.text().includes('EXIT-SUCCESS')) throw new Error(`the program says: ${this.text()}`);
  }
}

/** For afterEach: ends what still runs; keeps the directory of a failed test and tells it. */
export function cleanUp(): void {
  const { currentTestName, testPath, suppressedErrors } = expect.getState() as {
    currentTestName?: string;
    testPath?: string;
    suppressedErrors?: unknown[];
  };
  const failed = (suppressedErrors ?? []).length > 0;
  for (const target of live.splice(0)) {
    if (target.alive()) {
      rawSyscall('kill', target.pid, 9);
      rawSyscall('wait4', target.pid, null, WNOHANG, null);
    }
    if (failed || process.env.CRTS_KEEP !== undefined)
      console.log(
        `kept ${target.directory}\nagain: npx jest -c e2e/jest.config.js ${testPath} -t '${currentTestName}'`,
      );
    else rmSync(target.directory, { recursive: true, force: true });
  }
}

/** A test that needs a program of the system: without it, it is skipped under a name that says so. */
export function testNeeding(needs: readonly string[]) {
  const missing = needs.filter(
    (program) => !(process.env.PATH ?? '').split(':').some((directory) => existsSync(join(directory, program))),
  );
  return missing.length === 0
    ? test
    : (name: string, _body: () => Promise<void>, _timeout?: number) =>
        test.skip(`${name} (needs ${missing.join(', ')})`, () => undefined);
}
