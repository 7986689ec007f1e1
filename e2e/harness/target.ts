/** Programs under test: started in a session of their own with three clean descriptors, and ended whatever happens. */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { rawSyscall } from '@crts/native-syscalls';
import { criu, criuInheriting, crts, crtsInheriting, must, type Outcome, repository } from './checkpointer';
import { compile } from './compile';
import { until } from './until';

const PR_SET_CHILD_SUBREAPER = 36;
const WNOHANG = 1;
const SIGKILL = 9;
/** Wait status of a task whose agent has lost its engine before the program was in it: leave(), native/agent/agent.c. */
const AGENT_LEFT = 1 << 8;

// Restored programs whose parent was crts become children of this process, so that it can wait for them.
rawSyscall('prctl', PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);

export interface StartOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
}

export interface ProgramOptions extends StartOptions {
  readonly flags?: readonly string[];
  readonly compiler?: string;
}

const live: Target[] = [];

/** A running program and the directory of its test. */
export class Target {
  readonly directory = mkdtempSync(join(tmpdir(), 'crts-e2e-'));
  readonly images = join(this.directory, 'images');
  readonly output = join(this.directory, 'output');
  readonly go = join(this.directory, 'go');
  pid = 0;
  /** Processes below it at the last dump: their orphans come to this process, which has to wait for them. */
  #family: readonly number[] = [];
  /** Of a restored program that has ended. */
  #status: number | undefined;
  /** Refers to the process and never to another one with its number. */
  #pidfd = -1;
  /** The program as node started it. */
  #child: ChildProcess | undefined;

  private constructor() {
    // Programs that give up root reach their files as well.
    chmodSync(this.directory, 0o755);
    mkdirSync(this.images);
    live.push(this);
  }

  /** Starts `command`; in its arguments GO, DIR and OUT stand for the go file, the directory and the output file. */
  static start(command: string, args: readonly string[], options: StartOptions = {}): Target {
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
    target.#child = child;
    target.#adopt(child.pid);
    return target;
  }

  /** Compiles and starts e2e/programs/NAME.c, and waits until it is set up. */
  static async program(name: string, args: readonly string[] = [], options: ProgramOptions = {}): Promise<Target> {
    const target = Target.start(compile(name, options.flags, options.compiler), ['GO', ...args], options);
    await target.ready();
    // The text is there a moment before write(2) returns and the position moves: a look at the program comes after.
    await until('the position to follow', () => {
      const position = /^pos:\s+(\d+)/m.exec(target.proc('fdinfo/1'))?.[1];
      return position === undefined || Number(position) >= target.text().length || !target.alive();
    });
    return target;
  }

  async ready(): Promise<void> {
    await until('the program to be ready', () => this.text().includes('ready') || !this.alive());
    if (!this.alive()) throw new Error(`the program ended at once: ${this.text()}`);
  }

  text(): string {
    return readFileSync(this.output, 'utf8');
  }

  lastNumber(): number {
    return Number(this.text().trimEnd().split('\n').at(-1));
  }

  alive(): boolean {
    this.#reap();
    return /^State:\s+[^ZX]/m.test(this.proc('status'));
  }

  proc(file: string): string {
    try {
      return readFileSync(`/proc/${this.pid}/${file}`, 'utf8');
    } catch {
      return '';
    }
  }

  async gone(): Promise<void> {
    // Also those that were born after the look at the family.
    this.#family = [...new Set([...this.#family, ...dumpedPids(this.images)])];
    await until(`pid ${this.pid} to be gone`, () => {
      this.#reap();
      return ![this.pid, ...this.#family].some((pid) => existsSync(`/proc/${pid}`));
    });
  }

  dump(...options: string[]): Outcome {
    this.#family = descendants(this.pid);
    return crts('dump', ...this.dumpArguments(...options));
  }

  dumpArguments(...options: string[]): string[] {
    return ['-t', String(this.pid), '-D', this.images, '-o', 'dump.log', '-v4', ...options];
  }

  restore(...options: string[]): Outcome {
    return this.#restored(crts('restore', '-d', '-D', this.images, '-o', 'restore.log', '-v4', ...options));
  }

  /** `fds` of this process are 3, 4 and so on in crts, for --inherit-fd. */
  restoreInheriting(fds: readonly number[], ...options: string[]): Outcome {
    const args = ['restore', '-d', '-D', this.images, '-o', 'restore.log', '-v4', ...options];
    return this.#restored(crtsInheriting(fds, ...args));
  }

  dumpWithCriu(...options: string[]): Outcome {
    this.#family = descendants(this.pid);
    return criu('dump', '-t', String(this.pid), '-D', this.images, '-o', 'criu-dump.log', '-v4', ...options);
  }

  restoreWithCriu(...options: string[]): Outcome {
    return this.#restored(criu('restore', '-d', '-D', this.images, '-o', 'criu-restore.log', '-v4', ...options));
  }

  restoreInheritingWithCriu(fds: readonly number[], ...options: string[]): Outcome {
    const args = ['restore', '-d', '-D', this.images, '-o', 'criu-restore.log', '-v4', ...options];
    return this.#restored(criuInheriting(fds, ...args));
  }

  /** A test has restored it by a command of its own. */
  adoptRestored(): void {
    this.#adopt(this.pid);
  }

  /** Dump, gone, restore. */
  async cycle(...options: string[]): Promise<void> {
    must(this.dump(...options));
    await this.gone();
    must(this.restore(...options));
    if (!this.alive()) throw new Error(`the restored program is dead: ${this.text()}`);
  }

  /** An empty images directory again. */
  clearImages(): void {
    rmSync(this.images, { recursive: true, force: true });
    mkdirSync(this.images);
  }

  /** Lets the program check itself and demands that it is content. */
  async finish(patienceSeconds = 20): Promise<void> {
    writeFileSync(this.go, '');
    await until('the program to end', () => !this.alive(), patienceSeconds);
    if (!this.text().includes('EXIT-SUCCESS') || this.text().includes('FAIL'))
      throw new Error(`the program says: ${this.text()}`);
  }

  /**
   * The same of a restored one that may have been ended by others: waits for its end, and demands that it is content, or that it was
   * killed with SIGKILL. `restoreDied`: it may have been half made; its agent ends with status 1 then, before anything of the program runs.
   */
  async lookAndEnd(what: string, patienceSeconds = 60, restoreDied = false): Promise<void> {
    this.#status = undefined;
    const before = this.text();
    writeFileSync(this.go, '');
    await until(`the end of the program: ${what}`, () => !this.alive(), patienceSeconds);
    const text = this.text();
    const isContent = text.includes('EXIT-SUCCESS') && !text.includes('FAIL');
    const isHalfMade = restoreDied && this.#status === AGENT_LEFT && text === before;
    // Undefined: it never lived.
    if (!isContent && !isHalfMade && this.#status !== undefined && this.#status !== SIGKILL)
      throw new Error(`${what}: wait status ${this.#status}, and the program says: ${text}`);
  }

  /** Ends the program if it still runs, and lets go of it. */
  async end(): Promise<void> {
    if (this.#pidfd < 0) return;
    // Children first: orphans of a dead root are harder to find.
    for (const pid of descendants(this.pid)) rawSyscall('kill', pid, SIGKILL);
    rawSyscall('pidfd_send_signal', this.#pidfd, SIGKILL, null, 0);
    await until(`pid ${this.pid} to end`, () => !this.alive());
    rawSyscall('close', this.#pidfd);
    this.#pidfd = -1;
  }

  #adopt(pid: number): void {
    if (this.#pidfd >= 0) rawSyscall('close', this.#pidfd);
    this.pid = pid;
    this.#pidfd = Number(rawSyscall('pidfd_open', pid, 0));
  }

  #restored(outcome: Outcome): Outcome {
    if (outcome.status === 0) this.#adopt(this.pid);
    return outcome;
  }

  /**
   * Waits for the dead: node does it for its own children, this for restored ones. A child of node's that is waited for here
   * stays in libuv's list, and takes the end of whoever gets its number next (uv__wait_children()): that one's never comes.
   */
  #reap(): void {
    const { pid: own, exitCode, signalCode } = this.#child ?? { exitCode: 0, signalCode: null };
    const isWithNode = exitCode === null && signalCode === null;
    // The family that an image set names has the root too.
    for (const pid of new Set([this.pid, ...this.#family]))
      if (!isWithNode || pid !== own) {
        const status = new Int32Array(1);
        const found = rawSyscall('wait4', pid, status, WNOHANG, null);
        if (found === pid && pid === this.pid) this.#status = status[0]!;
      }
  }
}

/** Processes and threads of an image set, of crts or CRIU. */
function dumpedPids(images: string): number[] {
  return readdirSync(images).flatMap((name) => (/^core-(\d+)\.img$/.exec(name) ?? []).slice(1).map(Number));
}

/** Processes below one that runs. */
function descendants(pid: number): number[] {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((tid) =>
      readFileSync(`/proc/${pid}/task/${tid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
    );
    return children.flatMap((child) => [child, ...descendants(child)]);
  } catch {
    return [];
  }
}

/** After each test: ends what still runs; keeps the directory of a failed test and says how to run it again. */
export async function cleanUp(isFailed: boolean): Promise<void> {
  const { currentTestName, testPath } = expect.getState();
  for (const target of live.splice(0)) {
    await target.end();
    if (isFailed || process.env.CRTS_KEEP !== undefined) {
      const again = `npx jest -c e2e/jest.config.js ${relative(repository, testPath!)} -t ${quoted(currentTestName!)}`;
      process.stdout.write(`kept ${target.directory}\nagain: ${again}\n`);
    } else rmSync(target.directory, { recursive: true, force: true });
  }
}

/** As one word of a shell, and as a regular expression that matches itself. */
function quoted(name: string): string {
  return `'${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll("'", "'\\''")}'`;
}
