/** Steps of a traced thread from one stop to the next. Signals that arrive on the way are delivered. */
import { readFileSync } from 'node:fs';
import { agentSilent, type SyscallError, taskGone } from '../errors';
import {
  PTRACE_EVENT_STOP,
  PTRACE_O_EXITKILL,
  PTRACE_O_TRACESYSGOOD,
  ptraceContinue,
  ptraceContinueToStop,
  ptraceResumeAllToSyscall,
  ptraceSyscallNumbers,
  ptraceSyscallStops,
} from '../ptrace';
import { WNOHANG, waitAll, waitPid, waitStatus } from '../wait';
import { getReg, USER_REGS_SIZE } from './registers';

const SIGTRAP_SYSCALL = 0x85;

/** Of tasks under restore: they end when the engine does. */
export const TRACE_OPTIONS = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;

/** The longest way is five calls of two stops each. */
const STOPS_MAX = 64;
/** Calls that look like the one that is waited for. */
const LOOKS_MAX = 64;

/** Steps over entries and exits of system calls to one of `call` whose registers `match` accepts; bounded. */
export function stepToCall(pid: number, call: number, match: (regs: Buffer) => boolean): Buffer {
  const regs = Buffer.allocUnsafe(USER_REGS_SIZE);
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    makeStops(pid, STOPS_MAX, regs, call);
    if (getReg(regs, 'orig_rax') !== BigInt(call)) break;
    if (match(regs)) return regs;
  }
  throw agentSilent(pid, 'did not reach its next step');
}

/** From an entry or exit of a system call to the next, so many times; returns the registers there. */
export function syscallStops(pid: number, stops: number): Buffer {
  const regs = Buffer.allocUnsafe(USER_REGS_SIZE);
  makeStops(pid, stops, regs);
  return regs;
}

function makeStops(pid: number, stops: number, regs: Buffer, call?: number): void {
  let status: number;
  try {
    status = ptraceSyscallStops(pid, stops, regs, call);
  } catch (error) {
    throw (error as SyscallError).errno === 'EAGAIN' ? agentSilent(pid, 'is stopped again and again') : error;
  }
  if (!waitStatus.stopped(status)) throw taskGone(pid, 'its infection');
}

/** Resumes all of them to their next entry or exit of a system call, side by side. */
export function toSyscallStops(pids: readonly number[]): void {
  let moving = pids;
  let signals = pids.map(() => 0);
  for (let stops = 0; moving.length > 0; stops++) {
    if (stops === 64) throw agentSilent(moving[0]!, 'is stopped again and again');
    ptraceResumeAllToSyscall(moving, signals);
    const statuses = waitAll(moving);
    const interrupted: number[] = [];
    signals = [];
    moving.forEach((pid, index) => {
      const status = statuses[index]!;
      if (!waitStatus.stopped(status)) throw taskGone(pid, 'its release');
      if (waitStatus.stopSignal(status) === SIGTRAP_SYSCALL) return;
      // A SIGSTOP that arrives now is delivered and makes a group stop; it takes effect again when the thread is let go (man 2 ptrace).
      interrupted.push(pid);
      signals.push(waitStatus.heldSignal(status));
    });
    moving = interrupted;
  }
}

/** Steps all of them, side by side, until each is in `call`; bounded. */
export function stepAllToCall(pids: readonly number[], call: number): void {
  let moving = pids;
  for (let stops = 0; moving.length > 0; stops++) {
    if (stops === 64) throw agentSilent(moving[0]!, 'did not reach its next step');
    toSyscallStops(moving);
    const numbers = ptraceSyscallNumbers(moving);
    moving = moving.filter((_, index) => numbers[index] !== BigInt(call));
  }
}

/**
 * Goes on until the stop that PTRACE_INTERRUPT asked for, and returns its status; signals that were on their way are delivered,
 * and stopped for before.
 */
export function waitForEventStop(pid: number, first: number): number {
  let status = first;
  for (let stops = 0; stops < 64; stops++) {
    if (!waitStatus.stopped(status)) throw taskGone(pid, 'its freezing');
    if (waitStatus.event(status) === PTRACE_EVENT_STOP) return status;
    status = ptraceContinueToStop(pid, waitStatus.heldSignal(status));
  }
  throw agentSilent(pid, 'is stopped again and again');
}

/**
 * For a thread that takes long in the agent: it may be in a stop of its own, for SIGSTOP, which no mask blocks.
 * @throws CrtsError when it has ended
 */
export function goOnFromStop(pid: number, tid: number, during: string): void {
  const stop = waitPid(tid, WNOHANG);
  if (stop === undefined) return;
  if (!waitStatus.stopped(stop.status)) throw taskGone(pid, during);
  ptraceContinue(tid, waitStatus.heldSignal(stop.status));
}

/** Of the main thread: man 5 proc_pid_stat. */
export function stateOf(pid: number): string | undefined {
  try {
    return /^\d+ \(.*\) (\w)/s.exec(readFileSync(`/proc/${pid}/task/${pid}/stat`, 'latin1'))?.[1];
  } catch {
    return undefined;
  }
}
