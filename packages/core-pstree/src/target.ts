/** A process under ptrace: its threads stopped, infected, let go. */
import { readdirSync } from 'node:fs';
import {
  type AddressRange,
  closeFd,
  findGadgets,
  type Gadgets,
  Guest,
  getReg,
  type Host,
  Infection,
  pidfdOpen,
  pidfdSendSignal,
  preadFull,
  ptraceContinue,
  ptraceDetach,
  ptraceInterrupt,
  ptracePeekSignals,
  rehearseInfection,
  type SearchedText,
  verifyGadgets,
  waitForEventStop,
  waitPid,
} from '@crts/native-syscalls';
import type { Logger, TaskFacts, ThreadFacts, ThreadState, VmaFacts } from '@crts/plugin-api';
import { findAbandoned, outside } from './abandoned';
import { noSuchTask, zombie } from './errors';
import { closeMemory, type MemoryFiles, openMemory } from './memory-files';
import type { Patience } from './patience';
import { cpuOf, factsOf, glimpseMappings, isGone, readFactsOfThreads, readTaskFacts, threadCount } from './proc';
import { seizeThreads, waitForThreads } from './stopping';
import { lookAtThreads } from './thread-look';
import { stopOrTimeout, waitForEnd } from './tracee-end';
import { unreachable } from './unreachable';

const SIGTRAP = 5;
const SIGKILL = 9;
const SIGSTOP = 19;

/** By list of mappings, which forks of one program have in common; looked at again before they are used. */
const gadgets = new WeakMap<readonly VmaFacts[], Gadgets>();

/** What can be found out, and opened, while the process still runs; then the process stopped. */
export class Target {
  readonly pid: number;
  readonly pidfd: number;
  #memory: MemoryFiles;
  readonly #log: Logger;
  readonly #searched: SearchedText | undefined;
  #gadgets: Gadgets | undefined;
  /** Stopped threads by tid; the main thread is the first. */
  readonly #threads = new Map<number, { facts: ThreadFacts; state: ThreadState }>();
  readonly #seized = new Set<number>();
  /** Seized threads whose first stop has been waited for: a second wait would not return. */
  readonly #waited = new Set<number>();
  #facts: TaskFacts | undefined;
  /** All mappings, and those of agents that killed engines left behind, which are no part of `facts`. */
  #mapped: readonly VmaFacts[] = [];
  #abandoned: readonly AddressRange[] = [];
  #infection: Infection | undefined;
  /** Its programs run in the agent of a task that it shares its memory with. */
  #guest: Guest | undefined;
  #infected = false;
  #gone = false;
  #stopSignal: number | undefined;
  /** Signals that wait: of the process, and of its main thread. */
  readonly #peeked = new Map<boolean, Buffer[]>();

  /** `searched`: what is known of the text of files, shared by a tree. */
  constructor(pid: number, log: Logger, searched?: SearchedText) {
    this.pid = pid;
    this.#log = log;
    this.#searched = searched;
    try {
      this.pidfd = pidfdOpen(pid);
    } catch (error) {
      throw unreachable(pid, error);
    }
    try {
      this.#memory = openMemory(pid);
    } catch (error) {
      closeFd(this.pidfd);
      throw unreachable(pid, error);
    }
  }

  /** /proc/PID/mem, writable. */
  get mem(): number {
    return this.#memory.mem;
  }

  /** Half a millisecond over a libc: done before the freeze where the task is known, and checked in it. */
  prepare(): void {
    const vmas = factsOf(this.pid, glimpseMappings);
    // What has no memory is dead.
    if (vmas.length === 0) throw zombie(this.pid);
    this.#gadgets = gadgets.get(vmas) ?? findGadgets(this.mem, vmas, this.#searched);
    gadgets.set(vmas, this.#gadgets);
  }

  /** As they are while the process stands still. */
  get facts(): TaskFacts {
    return this.#facts!;
  }

  /** CPU that the main thread ran on last. */
  get cpu(): number {
    return Number(this.#facts?.stat.processor ?? cpuOf(this.pid));
  }

  /** The signal that had stopped the process before it was frozen. Let go, it is stopped again. */
  get stopSignal(): number | undefined {
    return this.#stopSignal;
  }

  get seized(): ReadonlySet<number> {
    return this.#seized;
  }

  get tids(): readonly number[] {
    return [...this.#threads.keys()];
  }

  thread(tid: number): { readonly facts: ThreadFacts; readonly state: ThreadState } {
    return this.#threads.get(tid)!;
  }

  get infection(): Host {
    return this.#guest ?? this.#infection!;
  }

  /**
   * Asks all threads that it does not know yet to stop; false when all there are have been asked. Threads may be born until all
   * are stopped: call it, and settle(), until it says false.
   *
   * A list of /proc/PID/task made while threads come and go may lack some, and those that it has may have ended (proc_task_readdir(),
   * fs/proc/base.c): what counts is the kernel's own number of threads, which has also those that are about to go.
   * @throws CrtsError CRTS_SEIZE when it may not be traced
   */
  seize(): boolean {
    // Its only thread stood still when these were counted.
    if (this.#threads.size === 1 && this.#seized.size === 1 && this.#facts?.stat.num_threads === '1') return false;
    const found = readdirSync(`/proc/${this.pid}/task`)
      .map(Number)
      .filter((tid) => !this.#seized.has(tid));
    const before = this.#seized.size;
    seizeThreads(this.pid, found, (tid) => this.#seized.add(tid));
    return this.#seized.size > before || threadCount(this.pid) !== this.#seized.size;
  }

  /** Waits until all that were asked to stop did, or ended. @throws CrtsError CRTS_TIMEOUT */
  settle(patience: Patience): void {
    const moving = [...this.#seized].filter((tid) => !this.#threads.has(tid));
    const stopped: number[] = [];
    try {
      waitForThreads(moving, patience, {
        waited: (tid) => this.#waited.add(tid),
        ended: (tid) => this.#ended(tid),
        stopped: (tid, signal) => {
          stopped.push(tid);
          // It was stopped before.
          if (tid === this.pid && signal !== SIGTRAP) this.#stopSignal = signal;
        },
      });
    } catch (error) {
      this.#putRight(stopped);
      throw error;
    }
    this.#look(stopped);
  }

  #ended(tid: number): void {
    this.#seized.delete(tid);
    if (tid !== this.pid) return;
    this.#gone = true;
    throw noSuchTask(tid);
  }

  /** What the stop itself has done to calls is undone, though there will be no dump. */
  #putRight(tids: readonly number[]): void {
    for (const tid of tids) {
      try {
        this.#look([tid]);
      } catch {
        // It has ended.
      }
    }
  }

  #look(tids: readonly number[]): void {
    const { pid } = this;
    if (!this.#threads.has(pid)) this.#openMemoryAgain();
    // Mappings are read when all threads stand still: they may still make some.
    const facts =
      this.#seized.size === 1 && tids[0] === pid
        ? [this.#lookAtProcess()]
        : factsOf(pid, () => readFactsOfThreads(pid, tids));
    for (const [index, thread] of lookAtThreads(this.mem, tids, facts).entries())
      this.#threads.set(tids[index]!, thread);
  }

  /** The program that was there before the freeze may have begun another one. From the main thread's stop on, none does. */
  #openMemoryAgain(): void {
    const before = this.#memory;
    this.#memory = factsOf(this.pid, openMemory);
    closeMemory(before);
  }

  /** The mappings are those of the moment: read again when the other threads stand still too. */
  #lookAtProcess(): TaskFacts {
    this.#facts = factsOf(this.pid, readTaskFacts);
    return this.#facts;
  }

  /** Something outside changed what /proc shows of it. */
  lookAgain(): void {
    this.#lookAtProcess();
    this.#hideAbandoned();
  }

  /** All threads stand still: what they could still change is read again. */
  settled(): void {
    if (this.#threads.size > 1 || this.#facts === undefined) this.#lookAtProcess();
    this.#sortThreads();
    this.#hideAbandoned();
  }

  /** A process that it shares its memory with may have changed that after the first look. */
  settledWithOthers(): void {
    this.#lookAtProcess();
    this.#hideAbandoned();
  }

  #sortThreads(): void {
    // The main thread first, the others in the order of their numbers.
    const rank = (tid: number) => (tid === this.pid ? 0 : tid);
    const threads = [...this.#threads].sort(([a], [b]) => rank(a) - rank(b));
    this.#threads.clear();
    for (const [tid, thread] of threads) this.#threads.set(tid, thread);
  }

  #hideAbandoned(): void {
    const ips = [...this.#threads.values()].map(({ state }) => getReg(state.prstatus, 'rip'));
    const facts = this.facts;
    this.#mapped = facts.vmas;
    this.#abandoned = findAbandoned(facts.vmas, ips, (address, length) => this.#read(address, length));
    this.#facts = { ...facts, vmas: outside(facts.vmas, this.#abandoned) };
  }

  /** What infect() does before it touches the process, done once while that runs. */
  rehearseInfection(thread: ThreadState, vmas: readonly VmaFacts[]): void {
    const gadgets = this.#gadgets;
    if (gadgets === undefined || !verifyGadgets(this.mem, gadgets)) return;
    const { pid, pidfd } = this;
    rehearseInfection({ ...this.#memory, pid, pidfd, thread, vmas, gadgets });
  }

  infect(): void {
    const vmas = this.#mapped;
    if (this.#gadgets === undefined || !verifyGadgets(this.mem, this.#gadgets))
      this.#gadgets = findGadgets(this.mem, vmas, this.#searched);
    if (this.#gadgets.restorer === undefined || this.#gadgets.syscallRet === undefined) {
      this.#log.warn(
        { pid: this.pid },
        'no way back in the text of the program: if crts is killed now, an idle mapping stays in it',
      );
    }
    this.#infection = Infection.start({
      pid: this.pid,
      pidfd: this.pidfd,
      mem: this.mem,
      pagemap: this.#memory.pagemap,
      thread: this.thread(this.pid).state,
      vmas,
      gadgets: this.#gadgets,
    });
    this.#infected = true;
    for (const { start, end } of this.#abandoned) {
      this.#log.info({ pid: this.pid }, 'taking away the agent of an earlier dump that was killed');
      this.#infection.task.run((program) => void program.call('munmap', [start, end - start]));
    }
  }

  /** As infect(), for a process that shares its memory with one whose agent is in. */
  infectAsGuest(host: Target): void {
    this.#guest = new Guest(this.pid, this.thread(this.pid).state, host.#infection!);
  }

  /**
   * Signals that wait for a thread, or for the process. A main thread whose agent runs is stopped for a moment, once for both: what was
   * there before the agent went in is not all, since timers go off until they are looked at.
   */
  pendingSignals(tid: number, shared: boolean): Buffer[] {
    if (tid !== this.pid || !this.#infected) return ptracePeekSignals(tid, shared);
    const known = this.#peeked.get(shared);
    if (known !== undefined) return known;
    this.#whileStopped(() => {
      for (const which of [true, false]) this.#peeked.set(which, ptracePeekSignals(tid, which));
    });
    return this.#peeked.get(shared)!;
  }

  /** As the agent has found out, which has all signals blocked. Nobody need stop it to look. */
  noSignalsWait(): void {
    if (this.#infected) for (const which of [true, false]) this.#peeked.set(which, []);
  }

  /** A main thread whose agent waits is in no stop. The agent waits as before: should `action` fail, it can still be cured. */
  #whileStopped(action: () => void): void {
    ptraceInterrupt(this.pid);
    waitForEventStop(this.pid, waitPid(this.pid)!.status);
    action();
    ptraceContinue(this.pid);
  }

  /** The main thread is in no stop then: its agent waits. */
  get isInfected(): boolean {
    return this.#infected;
  }

  /** Takes the agent out: all threads are in their first stop again. */
  cure(): void {
    if (!this.#infected) return;
    this.#infected = false;
    this.#infection!.cure();
  }

  /** Lets a cured process run on as it was; `stop`: SIGSTOP is the first thing it gets. */
  detach(stop: boolean): void {
    if (this.#gone) return;
    if (stop && this.#seized.size > 0) pidfdSendSignal(this.pidfd, SIGSTOP);
    let failure: unknown;
    for (const tid of this.#seized) {
      try {
        ptraceDetach(tid);
      } catch (error) {
        failure ??= error;
      }
    }
    this.#seized.clear();
    if (failure !== undefined) throw failure;
  }

  /** For a dump that failed: from whatever state it is in, it can be let go then. What never stops is when the engine ends. */
  halt(patience: Patience): void {
    if (this.#gone) return;
    let failure: unknown;
    const attempt = (action: () => void) => {
      try {
        action();
      } catch (error) {
        failure ??= error;
      }
    };
    attempt(() => this.cure());
    // Asked to stop, and not waited for yet.
    for (const tid of [...this.#seized].filter((one) => !this.#waited.has(one)))
      attempt(() => {
        const status = stopOrTimeout(tid, patience);
        if (status !== undefined) waitForEventStop(tid, status);
        else this.#seized.delete(tid);
      });
    if (failure !== undefined) throw failure;
  }

  kill(): void {
    try {
      pidfdSendSignal(this.pidfd, SIGKILL);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  /** Waits until the killed process's memory and descriptors are gone. */
  reap(): void {
    // The tracer learns of the deaths first; the parent's wait comes after (man 2 ptrace). The main thread is the last: its
    // end is told when the others have been waited for.
    for (const tid of this.#seized) if (tid !== this.pid) waitForEnd(tid);
    if (this.#seized.has(this.pid)) waitForEnd(this.pid);
    this.#seized.clear();
    if (this.#infected) this.#infection!.close();
    this.#infected = false;
  }

  close(): void {
    closeFd(this.pidfd);
    closeMemory(this.#memory);
  }

  #read(address: bigint, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    preadFull(this.mem, bytes, address);
    return bytes;
  }
}
