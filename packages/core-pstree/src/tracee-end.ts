/** Waits for what threads that are traced, or children, do next. */
import { SyscallError, waitPid, waitStatus } from '@crts/native-syscalls';
import { CrtsError } from '@crts/plugin-api';
import type { Patience } from './patience';

/** Status of the next stop of a thread; undefined when it has ended, or given its number away (execve(2)). */
export function stopOf(tid: number, patience?: Patience): number | undefined {
  try {
    const { status } = patience?.waitPid(tid) ?? waitPid(tid)!;
    return waitStatus.stopped(status) ? status : undefined;
  } catch (error) {
    if (error instanceof SyscallError && error.errno === 'ECHILD') return undefined;
    throw error;
  }
}

/** A killed tracee may still report a stop that it was in before it reports its end. */
export function waitForEnd(tid: number): void {
  while (stopOf(tid) !== undefined);
}

/** As stopOf(); undefined also when it does not stop in time. */
export function stopOrTimeout(tid: number, patience: Patience): number | undefined {
  try {
    return stopOf(tid, patience);
  } catch (error) {
    if (error instanceof CrtsError && ['CRTS_TIMEOUT', 'CRTS_VFORK'].includes(error.code)) return undefined;
    throw error;
  }
}
