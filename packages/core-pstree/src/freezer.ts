/**
 * A freezer cgroup (--freeze-cgroup), version 1 or 2: while it is frozen nothing of the tree can be born or end, so that one
 * look finds all of it. What is in the cgroup beside the tree stands still until the dump is over, as with CRIU.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ptraceDetach, ptraceInterrupt, ptraceSeize, rawSyscall, SyscallError } from '@crts/native-syscalls';
import type { Logger } from '@crts/plugin-api';
import { freezerFailed, freezesItself, noFreezer, outsideFreezer, tooDeep } from './freezer-errors';
import type { Patience } from './patience';
import { isJobStopped, stateOf } from './proc';
import { stopOrTimeout } from './tracee-end';
import { Watchdog } from './watchdog';

type State = 'frozen' | 'freezing' | 'thawed';

/** Between two looks at a cgroup that freezes. */
const LOOK_AGAIN_NS = 500_000n;
/** Depth of cgroups below the one given: no tree of directories of the kernel's is deeper. */
const DEPTH_MAX = 64;

/** What differs between the versions: man 7 cgroups, Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst and cgroup-v2.rst. */
interface Version {
  readonly control: string;
  readonly threads: string;
  readonly words: Readonly<Record<'frozen' | 'thawed', string>>;
  state(path: string): State;
}

const V1: Version = {
  control: 'freezer.state',
  threads: 'tasks',
  words: { frozen: 'FROZEN', thawed: 'THAWED' },
  state(path) {
    const text = readFileSync(join(path, 'freezer.state'), 'latin1').trim();
    return text === 'FROZEN' ? 'frozen' : text === 'THAWED' ? 'thawed' : 'freezing';
  },
};

const V2: Version = {
  control: 'cgroup.freeze',
  threads: 'cgroup.threads',
  words: { frozen: '1', thawed: '0' },
  state(path) {
    if (readFileSync(join(path, 'cgroup.freeze'), 'latin1').trim() === '0') return 'thawed';
    return /^frozen 1$/m.test(readFileSync(join(path, 'cgroup.events'), 'latin1')) ? 'frozen' : 'freezing';
  },
};

export class Freezer {
  readonly #path: string;
  readonly #root: number;
  readonly #version: Version;
  readonly #log: Logger;
  /** As it was found, and is to be again. */
  readonly #wasFrozen: boolean;
  #isOurs = false;
  #watchdog: Watchdog | undefined;
  /** Threads of the cgroup that are not of the tree: traced, and stopped. */
  readonly #bystanders = new Set<number>();

  /** @throws CrtsError CRTS_FREEZE_CGROUP when the path is no cgroup that can be frozen, or freezing it would stop crts */
  constructor(path: string, root: number, log: Logger) {
    this.#path = path;
    this.#root = root;
    this.#log = log;
    const names = listing(path);
    const version = [V1, V2].find(({ control }) => names.includes(control));
    if (version === undefined) throw noFreezer(path, names.length === 0);
    this.#version = version;
    if (this.#threads().has(process.pid)) throw freezesItself(path);
    this.#wasFrozen = this.#state() !== 'thawed';
  }

  /** Everything in the cgroup stands still. @throws CrtsError CRTS_TIMEOUT, or CRTS_FREEZE_CGROUP; then it is as it was */
  freeze(patience: Patience): void {
    this.#watchdog = new Watchdog(join(this.#path, this.#version.control), this.#word(this.#wasFrozen), this.#log);
    this.#isOurs = true;
    // What the kernel did not freeze at once it does when it is told again: version 1 may stay at "freezing" for ever.
    while (this.#state() !== 'frozen') {
      this.#write('frozen');
      if (this.#state() === 'frozen') break;
      patience.check();
      sleep();
    }
    this.#log.info({ path: this.#path }, this.#wasFrozen ? 'the cgroup is frozen already' : 'the cgroup is frozen');
  }

  /**
   * The cgroup is frozen, and all threads of the tree are seized: they must be in it, and what else is in it is seized too.
   * @throws CrtsError CRTS_FREEZE_CGROUP
   */
  surround(tree: ReadonlySet<number>): void {
    const inside = this.#threads();
    for (const tid of tree) if (!inside.has(tid)) throw outsideFreezer(tid, this.#path, this.#root);
    for (const tid of inside) if (!tree.has(tid)) this.#seize(tid);
  }

  /** Who is seized stops now. */
  thaw(patience: Patience): void {
    this.#write('thawed');
    if (!this.#wasFrozen) this.#dismiss();
    for (const tid of this.#bystanders) if (stopOrTimeout(tid, patience) === undefined) this.#bystanders.delete(tid);
    if (this.#bystanders.size > 0)
      this.#log.warn(
        { path: this.#path },
        `${this.#bystanders.size} threads of the cgroup are not of the tree: they wait until the dump is over`,
      );
  }

  /** A dump failed at any point: what was asked to stop can, and then goes on. */
  thawForGood(): void {
    if (this.#isOurs) this.#write('thawed');
  }

  /** All are cured, and in a stop: let go, they are frozen again where they were. */
  restore(): void {
    if (this.#isOurs && this.#wasFrozen) this.#write('frozen');
    this.#release();
  }

  /** The cgroup stays as it is; nobody of it is held any more. */
  close(): void {
    this.#release();
    this.#dismiss();
  }

  #dismiss(): void {
    this.#isOurs = false;
    this.#watchdog?.dismiss();
    this.#watchdog = undefined;
  }

  #release(): void {
    for (const tid of this.#bystanders) {
      this.#bystanders.delete(tid);
      try {
        ptraceDetach(tid);
      } catch (error) {
        // Killed meanwhile.
        if (!(error instanceof SyscallError) || error.errno !== 'ESRCH') throw error;
      }
    }
  }

  #seize(tid: number): void {
    // It stands still, and PTRACE_SEIZE would wait for it until the thaw (ptrace_attach(), kernel/ptrace.c).
    if (isJobStopped(tid)) return;
    try {
      ptraceSeize(tid, 0);
      this.#bystanders.add(tid);
      ptraceInterrupt(tid);
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      // A dead one, or a thread of the kernel, is no harm.
      if (error.errno === 'ESRCH' || 'ZX'.includes(stateOf(tid)) || isKernelThread(tid)) return;
      this.#log.warn(
        { pid: tid, errno: error.errno },
        'not of the tree, in the cgroup, and not to be traced: it goes on',
      );
    }
  }

  #state(): State {
    return this.#do('read', () => this.#version.state(this.#path));
  }

  #word(isFrozen: boolean): string {
    return this.#version.words[isFrozen ? 'frozen' : 'thawed'];
  }

  #write(state: 'frozen' | 'thawed'): void {
    this.#do('write', () =>
      writeFileSync(join(this.#path, this.#version.control), this.#version.words[state], { flag: 'r+' }),
    );
  }

  #threads(): Set<number> {
    return this.#do('read', () => new Set(threadsBelow(this.#path, this.#version.threads, 0)));
  }

  #do<T>(call: string, action: () => T): T {
    try {
      return action();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw code === undefined ? error : freezerFailed(this.#path, call, code);
    }
  }
}

/** Threads of a cgroup and of those below it. */
function threadsBelow(path: string, file: string, depth: number): number[] {
  const own = readFileSync(join(path, file), 'latin1').split('\n').filter(Boolean).map(Number);
  if (depth === DEPTH_MAX) throw tooDeep(path, DEPTH_MAX);
  const below = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return below.reduce((all, { name }) => all.concat(threadsBelow(join(path, name), file, depth + 1)), own);
}

function listing(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** PF_KTHREAD: include/linux/sched.h. Such a thread has no executable. */
function isKernelThread(tid: number): boolean {
  try {
    return readFileSync(`/proc/${tid}/maps`, 'latin1') === '';
  } catch {
    return true;
  }
}

function sleep(): void {
  rawSyscall('nanosleep', new BigUint64Array([0n, LOOK_AGAIN_NS]), null);
}
