/** Stops a whole tree: every process, every thread, also those born meanwhile. */
import { readdirSync } from 'node:fs';
import { readSmallFile, readSmallFiles, type SearchedText, SyscallError } from '@crts/native-syscalls';
import { CrtsError, decodeName, type Logger } from '@crts/plugin-api';
import { escaping, ownTree, zombie } from './errors';
import type { Freezer } from './freezer';
import { Patience } from './patience';
import { isGone, isJobStopped, parseStat, statField, statusOf, threadsOf } from './proc';
import { Target } from './target';
import { type Ids, idsOf } from './zombie-ids';

/** A dead process that its parent has not waited for. */
export interface Zombie {
  readonly pid: number;
  readonly ppid: number;
  readonly comm: string;
  /** Fields of /proc/PID/stat. */
  readonly stat: Readonly<Record<string, string>>;
  readonly uids: Ids;
  readonly gids: Ids;
}

/** Passes over the tree before a dump gives up on one that grows faster than it can be stopped. */
const PASSES_MAX = 1000;
/** As CRIU's. */
const TIMEOUT_S = 10;
/** What a dump that failed waits for threads that were asked to stop and have not yet. */
const LET_GO_S = 1;
/** The same over the threads of processes, which come and go faster; a pass over one process takes some 50 us. */
const THREAD_PASSES_MAX = 100_000;

export class FrozenTree {
  readonly #log: Logger;
  readonly #root: number;
  readonly #freezer: Freezer | undefined;
  /** Everything that was opened, by pid; those that have ended since are taken out by freeze(). */
  readonly #targets = new Map<number, Target>();
  /** Stopped processes, parents before children. */
  #order: Target[] = [];
  #zombies: Zombie[] = [];
  #sequence: number[] = [];
  readonly #parents = new Map<number, number>();
  readonly #searched: SearchedText = new Map();

  /** Opens what is there now, so that less is left to do while the tree stands still. @throws when the root cannot be dumped */
  constructor(root: number, log: Logger, freezer?: Freezer) {
    this.#log = log;
    this.#root = root;
    this.#freezer = freezer;
    try {
      this.#prepare();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #prepare(): void {
    this.#open(this.#root).prepare();
    for (const pid of descendants(this.#root)) {
      try {
        this.#open(pid).prepare();
      } catch (error) {
        // Dead, or dying: the freeze will tell.
        if (!(error instanceof CrtsError) || error.code === 'CRTS_OWN_TREE') throw error;
      }
    }
  }

  /** Stopped processes, parents before their children. */
  get targets(): readonly Target[] {
    return this.#order;
  }

  /** Numbers known so far, for what is made before the freeze. */
  get known(): readonly number[] {
    return [...this.#targets.keys()];
  }

  /** Pids of all, the dead too: parents before children, these in the order in which their parent has them. */
  get sequence(): readonly number[] {
    return this.#sequence;
  }

  get zombies(): readonly Zombie[] {
    return this.#zombies;
  }

  /** Pid of a stopped process's parent, 0 for the root. */
  parentOf(pid: number): number {
    return this.#parents.get(pid) ?? 0;
  }

  get root(): Target {
    return this.#targets.get(this.#root)!;
  }

  /** Stops the tree. @throws CrtsError with some of it stopped: letGo() */
  freeze(timeoutSeconds = TIMEOUT_S): void {
    const patience = new Patience(this.#root, timeoutSeconds);
    try {
      this.#freeze(patience);
    } finally {
      patience.end();
    }
  }

  #freeze(patience: Patience): void {
    if (this.#freezer !== undefined) this.#freezeCgroup(this.#freezer, patience);
    const stopped = new Set<Target>();
    this.#stop([this.root], stopped, patience);
    // Every stopped process is looked at again until nothing is new: what forks does so until it is stopped, and an
    // orphan may come to a process that has been looked at (subreapers).
    for (let pass = 0; ; pass++) {
      if (pass === PASSES_MAX) throw escaping(this.#root, PASSES_MAX);
      const fresh = this.#freshChildren(stopped);
      if (fresh.length === 0) break;
      this.#stop(fresh, stopped, patience);
      patience.check();
    }
    this.#collect(stopped, patience);
  }

  /** Nothing moves while all are asked to stop: one look finds everything. They do when the cgroup is thawed. */
  #freezeCgroup(freezer: Freezer, patience: Patience): void {
    freezer.freeze(patience);
    const asked: Target[] = [];
    const tids = new Set<number>();
    for (const pid of [this.#root, ...descendants(this.#root)]) {
      if (pid !== this.#root && isDead(pid)) continue;
      const threads = threadsOf(pid);
      // One cannot get out of its stop, which PTRACE_SEIZE waits for, before the thaw: it is seized with what is found later. Of a
      // process that was frozen on its way into the stop some threads are there, and others are not.
      if (threads.some(isJobStopped)) {
        for (const tid of threads) tids.add(tid);
        continue;
      }
      const target = this.#open(pid);
      target.seize();
      asked.push(target);
      for (const tid of target.seized) tids.add(tid);
    }
    freezer.surround(tids);
    freezer.thaw(patience);
    for (const target of asked) this.#unlessGone(target, () => target.settle(patience));
  }

  /** All are cured. @param stop SIGSTOP is the first thing they get */
  detach(stop: boolean): void {
    this.#freezer?.restore();
    for (const target of this.#order) target.detach(stop);
  }

  /** All go on as if nothing had happened. Errors are given to `report`, and do not stop it. */
  letGo(report: (error: unknown) => void): void {
    const patience = new Patience(this.#root, LET_GO_S);
    const attempt = (action: () => void) => {
      try {
        action();
      } catch (error) {
        report(error);
      }
    };
    attempt(() => this.#freezer?.thawForGood());
    const targets = [...this.#targets.values()];
    for (const target of targets) attempt(() => target.halt(patience));
    attempt(() => this.#freezer?.restore());
    for (const target of targets) attempt(() => target.detach(false));
    patience.end();
  }

  close(): void {
    try {
      this.#freezer?.close();
    } finally {
      for (const target of this.#targets.values()) target.close();
      this.#targets.clear();
    }
  }

  #open(pid: number): Target {
    const known = this.#targets.get(pid);
    if (known !== undefined) return known;
    if (pid === process.pid) throw ownTree(this.#root);
    const target = new Target(pid, this.#log, this.#searched);
    this.#targets.set(pid, target);
    return target;
  }

  /** Processes side by side: all are asked to stop before one is waited for. */
  #stop(targets: readonly Target[], stopped: Set<Target>, patience: Patience): void {
    let moving = targets;
    for (let pass = 0; moving.length > 0; pass++) {
      if (pass === THREAD_PASSES_MAX) throw escaping(this.#root, pass);
      const asked: Target[] = [];
      for (const target of moving)
        this.#unlessGone(target, () => {
          if (target.seize()) asked.push(target);
          else stopped.add(target);
        });
      const settled: Target[] = [];
      for (const target of asked)
        this.#unlessGone(target, () => {
          target.settle(patience);
          settled.push(target);
        });
      moving = settled;
    }
  }

  /** A process of the tree that ends by itself is no failure; the root is. */
  #unlessGone(target: Target, action: () => void): void {
    try {
      action();
    } catch (error) {
      const gone = isGone(error) || (error instanceof CrtsError && error.code === 'CRTS_NO_TASK');
      if (target.pid === this.#root || !gone) throw error;
      this.#forget(target);
    }
  }

  #forget(target: Target): void {
    target.close();
    this.#targets.delete(target.pid);
  }

  #freshChildren(stopped: ReadonlySet<Target>): Target[] {
    const fresh: Target[] = [];
    for (const [parent, children] of childrenOfThreads(stopped)) {
      for (const pid of children) {
        this.#parents.set(pid, parent);
        const known = this.#targets.get(pid);
        if (known !== undefined && stopped.has(known)) continue;
        if (isDead(pid)) continue;
        try {
          fresh.push(this.#open(pid));
        } catch (error) {
          // It has ended since the look at its parent.
          if (!(error instanceof CrtsError) || !['CRTS_NO_TASK', 'CRTS_ZOMBIE'].includes(error.code)) throw error;
        }
      }
    }
    return fresh;
  }

  /** Depth first, as the processes hang together now; what was opened and is not part of it any more is let go. */
  #collect(stopped: ReadonlySet<Target>, patience: Patience): void {
    const order: Target[] = [];
    const zombies: Zombie[] = [];
    const sequence: number[] = [];
    const children = childrenOfThreads(stopped);
    // A stack of its own: a chain of processes may be longer than that of V8.
    const stack = [{ pid: this.#root, ppid: 0 }];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      const { pid, ppid } = next;
      sequence.push(pid);
      const target = this.#targets.get(pid);
      if (target === undefined || !stopped.has(target)) {
        zombies.push(readZombie(pid, ppid));
        continue;
      }
      target.settled();
      order.push(target);
      const own = children.get(pid)!;
      for (const child of own) this.#parents.set(child, pid);
      stack.push(...own.reverse().map((child) => ({ pid: child, ppid: pid })));
    }
    this.#sequence = sequence;
    this.#order = order;
    this.#zombies = zombies;
    const members = new Set(order);
    for (const target of [...this.#targets.values()]) {
      if (members.has(target)) continue;
      target.halt(patience);
      target.detach(false);
      this.#forget(target);
    }
  }
}

/** Processes below `root` as they are at this moment of a running tree. */
function descendants(root: number): number[] {
  const found: number[] = [];
  for (const list = [root]; list.length > 0; ) {
    const children = childrenOf(list.pop()!).filter((pid) => pid !== root);
    found.push(...children);
    list.push(...children);
  }
  return found;
}

/** Of running processes. */
function childrenOf(pid: number): number[] {
  return childrenOfThreads([{ pid, seized: threadsOf(pid) }]).get(pid)!;
}

/** Children of all threads of each process: man 5 proc, /proc/PID/task/TID/children. Exact when all threads are stopped. */
function childrenOfThreads(
  processes: Iterable<{ readonly pid: number; readonly seized: Iterable<number> }>,
): Map<number, number[]> {
  const found = new Map<number, number[]>();
  const pids: number[] = [];
  const paths: string[] = [];
  for (const { pid, seized } of processes) {
    found.set(pid, []);
    for (const tid of seized) {
      pids.push(pid);
      paths.push(`/proc/${pid}/task/${tid}/children`);
    }
  }
  readSmallFiles(paths, (index, content) => {
    if (typeof content !== 'number') {
      if (content.length > 0)
        for (const child of content.toString('latin1').trim().split(' ')) found.get(pids[index]!)!.push(Number(child));
      return;
    }
    // Another thread has the children of one that has ended.
    const error = new SyscallError('read', -content, undefined, paths[index]);
    if (!isGone(error)) throw error;
  });
  return found;
}

function isDead(pid: number): boolean {
  try {
    const state = statField(readSmallFile(`/proc/${pid}/stat`).toString('latin1'), 'state');
    return (state === 'Z' || state === 'X') && readdirSync(`/proc/${pid}/task`).length <= 1;
  } catch (error) {
    if (isGone(error)) return true;
    throw error;
  }
}

function readZombie(pid: number, ppid: number): Zombie {
  const { comm, fields } = parseStat(decodeName(readSmallFile(`/proc/${pid}/stat`)));
  if (fields.state !== 'Z') throw zombie(pid);
  const status = statusOf(pid);
  return { pid, ppid, comm, stat: fields, uids: idsOf(status.get('Uid')), gids: idsOf(status.get('Gid')) };
}
