/** The last steps: a task that has been built becomes itself, and is let go. */
import type { ThreadState } from '@crts/plugin-api';
import { agentSilent, taskGone } from '../errors';
import {
  NT_PRSTATUS,
  PTRACE_EVENT_STOP,
  ptraceContinue,
  ptraceDetach,
  ptraceDetachAll,
  ptraceGetRegset,
  ptraceGetSigmask,
  ptraceInterruptAll,
  ptraceSeizeAll,
  ptraceSetRegset,
  ptraceSetSigmask,
  ptraceSyscallResults,
} from '../ptrace';
import { rawSyscall, syscall } from '../syscall';
import { ptraceSetThreadStates } from '../thread-states';
import { WNOHANG, waitAll, waitPid, waitStatus } from '../wait';
import { withRegs } from './registers';
import { stateOf, stepAllToCall, TRACE_OPTIONS, toSyscallStops, waitForEventStop } from './stops';
import type { StubTask } from './stub';

const SYS_MUNMAP = 11;

/** A thread of a restored task, as it is to be. */
export interface FinalThread {
  readonly hostTid: number;
  readonly state: ThreadState;
}

/** What becomes of a task. */
export interface Completion {
  readonly stub: StubTask;
  /** A `syscall` instruction of the task itself: its vdso's. */
  readonly syscallAt: bigint;
  readonly main: ThreadState;
  readonly threads: readonly FinalThread[];
  /** No other task has an agent in this address space afterwards; else nothing is unmapped. */
  readonly isLast: boolean;
}

/**
 * The last step but one: the agents leave their doorbells and unmap themselves and their arenas with a `syscall` instruction of the
 * task, and at that call's exit each thread gets its own registers, extended state and mask. All are stopped then;
 * letTasksRun() lets them go. Tasks take each step side by side, so that no agent is left in memory that is unmapped.
 *
 * An engine that dies meanwhile takes the unfinished tasks with it (PTRACE_O_EXITKILL).
 */
export function completeTasks(tasks: readonly Completion[]): void {
  const all = tasks.flatMap(({ stub, threads }) => [...threads.map(({ hostTid }) => hostTid), stub.hostPid]);
  const traced = new Set(tasks.flatMap(({ stub }) => [...stub.traced]));
  ptraceSeizeAll(traced.size === 0 ? all : all.filter((tid) => !traced.has(tid)), TRACE_OPTIONS);
  ptraceInterruptAll(all);
  waitAll(all).forEach((status, index) => {
    waitForEventStop(all[index]!, status);
  });
  for (const { stub, syscallAt } of tasks) stub.task.sendLeave(syscallAt, 0n);
  const pids = tasks.map(({ stub }) => stub.hostPid);
  stepAllToCall(pids, SYS_MUNMAP);
  for (const { stub, isLast } of tasks) if (!isLast) skipCall(stub.hostPid);
  toSyscallStops(pids);
  ptraceSyscallResults(pids).forEach((result, index) => {
    if (tasks[index]!.isLast && result !== 0n) throw agentSilent(pids[index]!, 'could not be unmapped');
  });
  ptraceSetThreadStates(
    tasks.flatMap(({ stub, main, threads }) => [
      ...threads.map(({ hostTid, state }) => ({ tid: hostTid, state })),
      { tid: stub.hostPid, state: main },
    ]),
  );
}

/** Of a thread that is stopped at the entry. */
function skipCall(pid: number): void {
  ptraceSetRegset(pid, NT_PRSTATUS, withRegs(ptraceGetRegset(pid, NT_PRSTATUS), { orig_rax: -1n }));
}

/** Lets completed tasks run, in this order; threads of a task before its main one. */
export function letTasksRun(
  tasks: readonly { readonly hostPid: number; readonly threads: readonly FinalThread[] }[],
): void {
  ptraceDetachAll(tasks.flatMap(({ hostPid, threads }) => [...threads.map(({ hostTid }) => hostTid), hostPid]));
}

const SIGSTOP = 19;
const ALL_SIGNALS = (1n << 64n) - 1n;
/** A stop takes some microseconds; a task that was killed meanwhile never gets there. */
const STOP_LOOKS = 100_000;

/**
 * Lets a completed task go stopped (job control), by a signal that stops it. The main thread goes first: once it is stopped, the kernel has
 * told all threads to stop, and those still traced do so when they are let go (__ptrace_unlink(), kernel/ptrace.c).
 *
 * Signals that wait for the task, and may end it, are blocked until it is in its stop: of several the one of the lowest number is
 * taken first (next_signal(), kernel/signal.c). A task that is let go in its stop stays there, and takes them when it continues.
 */
export function stopTask(hostPid: number, threads: readonly FinalThread[], signal = SIGSTOP): void {
  const mask = ptraceGetSigmask(hostPid);
  ptraceSetSigmask(hostPid, ALL_SIGNALS & ~(1n << BigInt(signal - 1)));
  syscall('kill', hostPid, signal);
  ptraceContinue(hostPid);
  for (let status = nextStop(hostPid); waitStatus.event(status) !== PTRACE_EVENT_STOP; status = nextStop(hostPid))
    ptraceContinue(hostPid, waitStatus.heldSignal(status));
  ptraceSetSigmask(hostPid, mask);
  ptraceDetach(hostPid);
  let looks = 0;
  for (let state = stateOf(hostPid); state !== 'T'; state = stateOf(hostPid)) {
    if (++looks > STOP_LOOKS || state === 'Z' || state === undefined) throw taskGone(hostPid, 'its stop');
    rawSyscall('sched_yield');
  }
  for (const { hostTid } of threads) ptraceDetach(hostTid);
}

/** Of a task that is to stop at once. */
function nextStop(hostPid: number): number {
  for (let looks = 0; looks < STOP_LOOKS; looks++) {
    const stop = waitPid(hostPid, WNOHANG);
    if (stop === undefined) rawSyscall('sched_yield');
    else if (waitStatus.stopped(stop.status)) return stop.status;
    else break;
  }
  throw taskGone(hostPid, 'its stop');
}
