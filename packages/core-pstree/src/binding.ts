/** All or none: a tree that is to end does so also when the engine dies between two kills. */
import {
  PTRACE_O_EXITKILL,
  PTRACE_O_TRACESYSGOOD,
  SyscallBatch,
  SyscallError,
  waitForEventStop,
  waitPid,
} from '@crts/native-syscalls';
import { CrtsError } from '@crts/plugin-api';
import { isGone } from './proc';
import type { Target } from './target';

const PTRACE_CONT = 7;
const PTRACE_SETOPTIONS = 0x4200;
const PTRACE_INTERRUPT = 0x4207;
const ESRCH = 3;

/**
 * From here on the processes end when the engine does. Options are set in a stop, and the main thread of a process with an agent is in
 * none: all are asked for one before the first is waited for, and go on in it as they were, so that they can be cured.
 * One that has ended meanwhile is what the others are to be.
 */
export function bindToEngine(targets: readonly Pick<Target, 'pid' | 'seized' | 'isInfected'>[]): void {
  const running = targets.filter(({ isInfected }) => isInfected).map(({ pid }) => pid);
  const asked = all(PTRACE_INTERRUPT, running);
  const stopped: number[] = [];
  let failure: unknown;
  for (const pid of asked) {
    try {
      waitForEventStop(pid, waitPid(pid)!.status);
      stopped.push(pid);
    } catch (error) {
      if (!isEnd(error)) failure ??= error;
    }
  }
  try {
    const reached = new Set(stopped);
    const ended = new Set(running.filter((pid) => !reached.has(pid)));
    const tids = targets.flatMap(({ seized }) => [...seized]).filter((tid) => !ended.has(tid));
    if (failure === undefined) all(PTRACE_SETOPTIONS, tids, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  } finally {
    all(PTRACE_CONT, stopped);
  }
  if (failure !== undefined) throw failure;
}

function isEnd(error: unknown): boolean {
  return isGone(error) || (error instanceof CrtsError && error.code === 'CRTS_TASK_GONE');
}

/** One request to many, in one native call; returns whom it reached. Those that are gone are passed over. */
function all(request: number, tids: readonly number[], data = 0): number[] {
  const batch = new SyscallBatch(tids.length);
  for (const tid of tids) batch.add('ptrace', request, tid, 0, data);
  batch.run();
  return tids.filter((tid, index) => {
    const errno = -batch.result(index);
    if (errno !== 0 && errno !== ESRCH) throw new SyscallError(`ptrace(${request}, ${tid})`, errno);
    return errno === 0;
  });
}
