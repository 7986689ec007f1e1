/** The tasks of a restore while they are built: forked by the plan, reached by their pid in the images. */
import { readdirSync } from 'node:fs';
import {
  CLONE_PARENT,
  ProgramBuilder,
  type RemoteTask,
  rawSyscall,
  runTogether,
  type StubPlace,
  type StubTask,
  StubYard,
  SyscallError,
  type UnbornStub,
  type YardLayout,
} from '@crts/native-syscalls';
import type { CrtsError } from '@crts/plugin-api';
import { dumpedCore, exitProgram, prepareCore } from './dead-tasks';
import { cannotFork, pidTaken } from './errors';
import { cloneFlags } from './forks/objects';
import type { AgentPlaces } from './forks/places';
import type { ForkOp, ForkPlan } from './forks/plan';
import type { DeadSet } from './image-set';
import type { PageHelp } from './page-help';
import { holderOf } from './pid-holder';
import type { Leading } from './plan';
import { NUMBERS_PER_TASK } from './service-numbers';
import { SparePids } from './spare-pids';
import { waitForEnd } from './tracee-end';
import { P_PID, WALL, WNOWAIT } from './wait-states';

const SIGKILL = 9;
const PR_SET_CHILD_SUBREAPER = 36;
const WEXITED = 4;
const SIGINFO_BYTES = 128;
/** Places of si_code and si_uid in siginfo_t, and the value of one that dumped core. */
const SI_CODE = 8;
const SI_UID = 20;
const CLD_DUMPED = 3;

export class Nursery {
  readonly #yard: StubYard;
  readonly #plan: ForkPlan;
  readonly #stubs = new Map<number, StubTask>();
  /** Also of helpers that have ended. */
  readonly #hostPids = new Map<number, number>();

  readonly #spare: SparePids;
  readonly #leading: ReadonlyMap<number, Leading>;
  readonly #help: PageHelp | undefined;

  readonly #layout: YardLayout;
  readonly #places: AgentPlaces;

  /** `numbers`: of all tasks and threads that are made. `leading`: what leaders of sessions do first, by pid. */
  constructor(
    layout: YardLayout,
    tasks: number,
    plan: ForkPlan,
    places: AgentPlaces,
    numbers: ReadonlySet<number>,
    leading: ReadonlyMap<number, Leading> = new Map(),
    help?: PageHelp,
  ) {
    this.#yard = new StubYard(layout, tasks);
    this.#layout = layout;
    this.#plan = plan;
    this.#places = places;
    this.#spare = new SparePids(numbers);
    this.#leading = leading;
    this.#help = help;
  }

  /** A living task. */
  stub(pid: number): StubTask {
    return this.#stubs.get(pid)!;
  }

  /** Of those that live so far, as the engine sees them. */
  get hostPids(): readonly number[] {
    return [...this.#stubs.values()].map(({ hostPid }) => hostPid);
  }

  /** The root of the tree, child or sibling of the engine. */
  launchRoot(pid: number, sibling: boolean): StubTask {
    try {
      const stub = this.#yard.launch(pid, sibling ? CLONE_PARENT : 0n);
      this.#add(pid, stub);
      return stub;
    } catch (error) {
      if (!(error instanceof SyscallError) || !error.call?.startsWith('clone3')) throw error;
      throw forkFailed(pid, error.errno, error.call);
    }
  }

  /** Makes the tree below the root. `early`: what a task runs before it forks others, so that they have it from it. */
  forkAll(early: ReadonlyMap<number, ProgramBuilder>): void {
    const waiting = new Map(early);
    for (const round of this.#plan.rounds) {
      const jobs: { task: RemoteTask; program: ProgramBuilder }[] = [];
      for (const op of round) {
        const program = op.op === 'fork' ? waiting.get(op.actor) : undefined;
        if (program === undefined) continue;
        waiting.delete(op.actor);
        jobs.push({ task: this.stub(op.actor).task, program });
      }
      runTogether(jobs, this.#help?.meanwhile);
      this.#round(round);
    }
  }

  /** Lets the helpers go that had to live until everything was opened. */
  endHelpers(): void {
    for (const round of this.#plan.ending) this.#round(round);
  }

  /** Makes zombies of the tasks that are restored dead. Returns what of them is lost. */
  endDead(dead: readonly DeadSet[]): { readonly pid: number; readonly what: string }[] {
    for (const { pid, comm, exitCode, owner } of dead) {
      const stub = this.stub(pid);
      const room = dumpedCore(exitCode) && prepareCore(stub);
      stub.task.begin(exitProgram(comm, exitCode, room, owner)).send();
    }
    // Their parents see them dead before anything goes on: exit closes the doorbell before the state is there.
    const jobs = new Map<number, ProgramBuilder>();
    const infos = dead.map(({ pid, ppid }) => {
      const program = jobs.get(ppid) ?? new ProgramBuilder();
      jobs.set(ppid, program);
      const info = program.out(SIGINFO_BYTES);
      program.call('waitid', [P_PID, pid, info, WEXITED | WNOWAIT | WALL, null], { what: `see process ${pid} dead` });
      return info;
    });
    runTogether([...jobs].map(([ppid, program]) => ({ task: this.stub(ppid).task, program })));
    for (const { pid } of dead) this.#drop(pid);
    return dead.flatMap(({ pid, exitCode, owner }, index) => {
      const info = infos[index]!.read();
      const user = info.readUInt32LE(SI_UID);
      const isTold = !dumpedCore(exitCode) || info.readInt32LE(SI_CODE) === CLD_DUMPED;
      const isOwn = owner === undefined || owner.uids.real === user;
      return [
        ...(isTold ? [] : [{ pid, what: 'its parent will not be told that it dumped core (WCOREFLAG)' }]),
        ...(isOwn ? [] : [{ pid, what: `it is of user ${user} instead of ${owner.uids.real}` }]),
      ];
    });
  }

  /** Ends what there is, after a failure. */
  kill(rootPid: number): void {
    const root = this.#stubs.get(rootPid);
    // Orphans come to the engine, to be waited for; from the root on, since their parents die before.
    rawSyscall('prctl', PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    for (const { hostPid } of this.#stubs.values()) rawSyscall('kill', hostPid, SIGKILL);
    // Those too that were restored dead, whose parents end now.
    for (const hostPid of root === undefined ? [] : [root.hostPid, ...this.#hostPids.values()]) reap(hostPid);
    rawSyscall('prctl', PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  }

  close(): void {
    for (const stub of this.#stubs.values()) stub.close();
    this.#stubs.clear();
    this.#yard.close();
  }

  #add(pid: number, stub: StubTask): void {
    this.#stubs.set(pid, stub);
    this.#hostPids.set(pid, stub.hostPid);
  }

  #drop(pid: number): void {
    this.#stubs.get(pid)!.close();
    this.#stubs.delete(pid);
  }

  /** Operations of one actor are in order; those of different actors run side by side. */
  #round(ops: readonly ForkOp[]): void {
    const programs = new Map<number, ProgramBuilder>();
    const births: { readonly pid: number; readonly unborn: UnbornStub; readonly result: { readonly value: bigint } }[] =
      [];
    const exits: number[] = [];
    for (const op of ops) {
      if (op.op === 'exit') {
        exits.push(op.actor);
        continue;
      }
      const program = programs.get(op.actor) ?? new ProgramBuilder();
      programs.set(op.actor, program);
      program.origin = { plugin: 'engine', stage: 'forking' };
      if (op.op === 'fork') {
        const unborn = this.#yard.unborn(this.#placeOf(op.child));
        const pid = op.child < 0 ? this.#spare.next() : op.child;
        const result = program.fork(pid, cloneFlags(op.shares) | (op.cloneParent ? CLONE_PARENT : 0n), unborn.channel, {
          ...(op.exitSignal === undefined ? {} : { exitSignal: op.exitSignal }),
          fail: (errno) => forkFailed(pid, errno, `clone3(set_tid=${pid})`),
        });
        births.push({ pid: op.child, unborn, result });
      } else this.#emit(op, program);
    }
    try {
      runTogether([...programs].map(([actor, program]) => ({ task: this.stub(actor).task, program })));
    } catch (error) {
      for (const { unborn, result, pid } of births) this.#afterFailure(unborn, result, pid);
      throw error;
    }
    let failure: unknown;
    for (const { pid, unborn, result } of births) {
      // One that is dead keeps none of the others from being known, and ended.
      try {
        this.#born(pid, unborn, Number(result.value));
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
    // A helper's agent exits when its doorbell is let go.
    for (const actor of exits) this.#drop(actor);
  }

  #placeOf(pid: number): StubPlace {
    const { files, vm } = this.#places.of(pid);
    return { doorbellNumber: this.#layout.doorbellNumber + files * NUMBERS_PER_TASK, arena: vm };
  }

  #born(pid: number, unborn: UnbornStub, hostPid: number): void {
    this.#hostPids.set(pid, hostPid);
    this.#add(pid, unborn.born(hostPid));
  }

  /** Children that a failed round has made are known, so that they are ended with the others. */
  #afterFailure(unborn: UnbornStub, result: { readonly value: bigint }, pid: number): void {
    let hostPid = 0n;
    try {
      hostPid = result.value;
    } catch {
      // The fork was not reached.
    }
    if (hostPid <= 0n) {
      unborn.close();
      return;
    }
    try {
      this.#born(pid, unborn, Number(hostPid));
    } catch {
      // Dead already; born() has let go of its ends.
    }
  }

  #emit(op: Exclude<ForkOp, { op: 'fork' | 'exit' }>, program: ProgramBuilder): void {
    switch (op.op) {
      case 'setsid':
        program.call('setsid', [], { what: `become the leader of session ${op.actor}` });
        this.#leading.get(op.actor)?.emit(program);
        break;
      case 'subreaper':
        program.call('prctl', [PR_SET_CHILD_SUBREAPER, op.on ? 1 : 0]);
        break;
      case 'setpgid':
        program.call('setpgid', [0, this.#groupOf(op)], { what: `join the process group ${op.pgid}` });
        break;
      case 'reap':
        program.call('wait4', [this.#hostPids.get(op.child)!, null, 0, null], { what: `reap the helper ${op.child}` });
        break;
    }
  }

  /** A job of a shell lives in the group of crts. */
  #groupOf({ pgid, actor }: { readonly pgid: number; readonly actor: number }): number {
    if (pgid === this.#plan.outerPgid) return rawSyscall('getpgid', 0);
    return pgid === actor ? 0 : pgid;
  }
}

export function forkFailed(pid: number, errno: string | undefined, call: string | undefined): CrtsError {
  return errno === 'EEXIST' ? pidTaken(pid, ...holderOf(pid)) : cannotFork(pid, errno, call);
}

/**
 * Waits for the end of a killed task. A sibling is not ours to wait for: its parent gets it. Threads that are traced are told of
 * first: until then the main one's end is not (man 2 ptrace).
 */
function reap(pid: number): void {
  for (const tid of threadsOf(pid)) if (tid !== pid) waitForEnd(tid);
  waitForEnd(pid);
}

function threadsOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    return [];
  }
}
