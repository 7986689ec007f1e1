/** The last steps: a task that has been built becomes itself, and is let go. */
import type { ThreadState } from '@crts/plugin-api';
import { agentSilent, taskGone } from '../errors';
import {
  NT_PRSTATUS,
  NT_X86_XSTATE,
  PTRACE_EVENT_STOP,
  ptraceContinue,
  ptraceDetach,
  ptraceGetSigmask,
  ptraceInterrupt,
  ptraceSeize,
  ptraceSetRegset,
  ptraceSetSigmask,
  ptraceSetSyscallDispatch,
} from '../ptrace';
import { rawSyscall, syscall } from '../syscall';
import { WNOHANG, waitPid, waitStatus } from '../wait';
import { getReg, withRegs } from './registers';
import { stateOf, stepToCall, syscallStops, TRACE_OPTIONS, waitForEventStop } from './stops';
import type { StubTask } from './stub';

const SYS_MUNMAP = 11;

/** A thread of a restored task, as it is to be. */
export interface FinalThread {
  readonly hostTid: number;
  readonly state: ThreadState;
}

/**
 * The last step but one: the agent leaves its doorbell, unmaps itself and its arena with a `syscall` instruction of the task
 * (its vdso's), and at that call's exit each thread gets its own registers, extended state and mask. All are stopped then;
 * letTaskRun() lets them go. `isLast`: no other task has an agent in this address space; else the call is not made.
 *
 * An engine that dies meanwhile takes the unfinished task with it (PTRACE_O_EXITKILL).
 */
export function completeTask(
  stub: StubTask,
  syscallAt: bigint,
  main: ThreadState,
  threads: readonly FinalThread[],
  isLast = true,
): void {
  const pid = stub.hostPid;
  const all = [...threads.map(({ hostTid }) => hostTid), pid];
  for (const tid of all) if (!stub.traced.has(tid)) ptraceSeize(tid, TRACE_OPTIONS);
  for (const tid of all) ptraceInterrupt(tid);
  for (const tid of all) waitForEventStop(tid, waitPid(tid)!.status);
  stub.task.sendLeave(syscallAt, 0n);
  const entry = stepToCall(pid, SYS_MUNMAP, () => true);
  if (!isLast) ptraceSetRegset(pid, NT_PRSTATUS, withRegs(entry, { orig_rax: -1n }));
  const left = syscallStops(pid, 1);
  if (isLast && getReg(left, 'rax') !== 0n) throw agentSilent(pid, 'could not be unmapped');
  for (const { hostTid, state } of [...threads, { hostTid: pid, state: main }]) {
    ptraceSetRegset(hostTid, NT_X86_XSTATE, state.xstate);
    ptraceSetRegset(hostTid, NT_PRSTATUS, state.prstatus);
    ptraceSetSigmask(hostTid, state.sigmask);
    if (state.syscallDispatch !== undefined) ptraceSetSyscallDispatch(hostTid, state.syscallDispatch);
  }
}

/** Lets a completed task run. */
export function letTaskRun(hostPid: number, threads: readonly FinalThread[]): void {
  for (const { hostTid } of threads) ptraceDetach(hostTid);
  ptraceDetach(hostPid);
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
