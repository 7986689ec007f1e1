/** Threads of a process asked to stop and waited for, all of them side by side. */
import {
  addressOf,
  errnoName,
  PTRACE_O_TRACESYSGOOD,
  SyscallBatch,
  waitForEventStop,
  waitStatus,
} from '@crts/native-syscalls';
import { deadMainThread, noSuchTask, notOurs } from './errors';
import type { Patience } from './patience';
import { isOutlived, tracerOf } from './proc';
import { stopOf } from './tracee-end';

/** include/uapi/linux/ptrace.h */
const PTRACE_SEIZE = 0x4206;
const PTRACE_INTERRUPT = 0x4207;
/** Options of wait4(2). */
const WNOHANG = 1;
const WALL = 0x4000_0000;

/**
 * Traces threads and asks them to stop; those that ended meanwhile are left out. One that ends after it was seized is told to who waits
 * for it. `seized` is called with each that has to be let go again, also when this throws.
 * @throws CrtsError CRTS_SEIZE when one may not be traced
 */
export function seizeThreads(pid: number, tids: readonly number[], seized: (tid: number) => void): void {
  const batch = new SyscallBatch(2 * tids.length);
  for (const tid of tids) {
    batch.add('ptrace', PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD);
    batch.add('ptrace', PTRACE_INTERRUPT, tid);
  }
  batch.run();
  const failed: number[] = [];
  tids.forEach((tid, index) => {
    if (batch.result(2 * index) === 0) seized(tid);
    else failed.push(index);
  });
  for (const index of failed) refuse(pid, tids[index]!, errnoName(-batch.result(2 * index)));
}

function refuse(pid: number, tid: number, errno: string): void {
  const { state, tracer } = tracerOf(pid, tid);
  // What has ended in this moment cannot be traced: ESRCH, or EPERM until it is gone (ptrace_attach(), kernel/ptrace.c).
  const ended = errno === 'ESRCH' || ['', 'Z', 'X'].includes(state);
  if (ended && tid !== pid) return;
  if (ended) throw isOutlived(tid) ? deadMainThread(tid) : noSuchTask(tid);
  throw notOurs(tid, errno, tracer);
}

/** What becomes of a thread that was asked to stop. */
export interface Outcomes {
  /** It has reported something: a second wait would not return. */
  waited(tid: number): void;
  ended(tid: number): void;
  /** It has the stop that it was asked for; a stop signal rather than SIGTRAP tells a group stop (man 2 ptrace). */
  stopped(tid: number, signal: number): void;
}

/** Waits until all did, or ended. @throws CrtsError CRTS_TIMEOUT, and what `outcomes` throw */
export function waitForThreads(tids: readonly number[], patience: Patience, outcomes: Outcomes): void {
  let failure: unknown;
  const late: number[] = [];
  const settle = (tid: number, status: number | undefined): void => {
    if (status === undefined) {
      outcomes.ended(tid);
      return;
    }
    outcomes.waited(tid);
    outcomes.stopped(tid, waitStatus.stopSignal(waitForEventStop(tid, status)));
  };
  // What one of these says must not make the others forgotten that have been waited for as well.
  pollAll(tids).forEach((status, index) => {
    try {
      if (status === 'moving') late.push(tids[index]!);
      else settle(tids[index]!, status);
    } catch (error) {
      failure ??= error;
    }
  });
  if (failure !== undefined) throw failure;
  for (const tid of late) settle(tid, stopOf(tid, patience));
}

/** Of each thread what it has stopped with, `moving` where it has not; undefined of one that has ended, or given its number away. */
function pollAll(tids: readonly number[]): (number | 'moving' | undefined)[] {
  const statuses = new Int32Array(Math.max(1, tids.length));
  const base = Number(addressOf(new Uint8Array(statuses.buffer)));
  const batch = new SyscallBatch(tids.length);
  tids.forEach((tid, index) => {
    batch.add('wait4', tid, base + 4 * index, WNOHANG | WALL);
  });
  batch.run();
  return tids.map((_, index) => {
    const result = batch.result(index);
    if (result === 0) return 'moving';
    const status = statuses[index]!;
    return result > 0 && waitStatus.stopped(status) ? status : undefined;
  });
}
