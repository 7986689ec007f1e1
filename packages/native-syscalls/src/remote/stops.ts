/** Steps of a traced thread from one stop to the next. Signals that arrive on the way are delivered. */
import { readFileSync } from 'node:fs';
import { agentSilent, taskGone } from '../errors';
import {
  NT_PRSTATUS,
  PTRACE_EVENT_STOP,
  PTRACE_O_EXITKILL,
  PTRACE_O_TRACESYSGOOD,
  ptraceContinue,
  ptraceContinueToStop,
  ptraceGetRegset,
  ptraceToSyscall,
} from '../ptrace';
import { WNOHANG, waitPid, waitStatus } from '../wait';

const SIGTRAP_SYSCALL = 0x85;

/** Of tasks under restore: they end when the engine does. */
export const TRACE_OPTIONS = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;

/** Steps over entries and exits of system calls until `match` accepts the registers; bounded. */
export function stepToCall(pid: number, match: (regs: Buffer) => boolean): Buffer {
  // The longest way is five calls of two stops each, plus stops for SIGSTOP.
  for (let stops = 0; stops < 64; stops++) {
    expectSyscallStop(pid, ptraceToSyscall(pid));
    const regs = ptraceGetRegset(pid, NT_PRSTATUS);
    if (match(regs)) return regs;
  }
  throw agentSilent(pid, 'did not reach its next step');
}

export function expectSyscallStop(pid: number, first: number): void {
  let status = first;
  // A SIGSTOP that arrives now is delivered and makes a group stop; it takes effect again when the thread is let go (man 2
  // ptrace).
  for (let stops = 0; stops < 64; stops++) {
    if (!waitStatus.stopped(status)) throw taskGone(pid, 'its infection');
    if (waitStatus.stopSignal(status) === SIGTRAP_SYSCALL) return;
    status = ptraceToSyscall(pid, waitStatus.heldSignal(status));
  }
  throw agentSilent(pid, 'is stopped again and again');
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
