import type { CoreEntry } from '@crts/image-io';
import type { TaskSet } from './image-set';

const SIGSTOP = 19;
/** SIGTSTP, SIGTTIN, SIGTTOU: they stop what does not block them and is in no orphaned group, as it was when it was dumped. */
const OF_TERMINALS = [20, 21, 22];

/**
 * The signal by which a stopped task is stopped again, and which wait(2) tells its parent. A group is not orphaned while a member
 * has a parent in another group of the session (will_become_orphaned_pgrp(), kernel/exit.c); only parents in the tree are sure to
 * be the same ones after a restore, and in doubt it is SIGSTOP.
 * @param blocked signals that the main thread blocks
 */
export function stopSignalOf(task: TaskSet, tasks: readonly TaskSet[], blocked: bigint): number {
  const signal = (task.images.core as CoreEntry).tc?.stop_signo ?? SIGSTOP;
  if (!OF_TERMINALS.includes(signal) || ((blocked >> BigInt(signal - 1)) & 1n) === 1n) return SIGSTOP;
  const isHeld = tasks.some(({ pgid, ppid }) => {
    if (pgid !== task.pgid) return false;
    const parent = tasks.find(({ pid }) => pid === ppid);
    return parent !== undefined && parent.pgid !== pgid && parent.sid === task.sid;
  });
  return isHeld ? signal : SIGSTOP;
}
