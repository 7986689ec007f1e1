import { readSmallFile } from '@crts/native-syscalls';
import { systemError } from '@crts/plugin-api';
import { deadMainThread, kernelThread, noSuchTask, notMainThread, notOurs, zombie } from './errors';
import { isGone, isOutlived, statField, statusOf, tracerOf } from './proc';

/** A kernel thread: include/linux/sched.h. */
const PF_KTHREAD = 0x0020_0000;

/** Why a process cannot be taken hold of. `error` is what pidfd_open(2) or an open of its memory said. */
export function unreachable(pid: number, error: unknown): unknown {
  if (isGone(error)) return goneOr(pid);
  const { errno } = systemError(error) ?? (error as { errno?: string });
  // EACCES of /proc/PID/mem, EPERM where a security module says so: proc_mem_open(), fs/proc/base.c.
  return errno === 'EACCES' || errno === 'EPERM'
    ? notOurs(pid, errno, tracerOf(pid, pid).tracer, 'open /proc/PID/mem')
    : error;
}

/** No memory is what the dead have, and the kernel's own; pidfd_open(2) knows main threads alone. */
function goneOr(pid: number) {
  if (isOutlived(pid)) return deadMainThread(pid);
  try {
    const status = statusOf(pid);
    const leader = Number(status.get('Tgid'));
    if (leader !== pid) return notMainThread(pid, leader);
    const stat = readSmallFile(`/proc/${pid}/stat`).toString('latin1');
    if ('ZX'.includes(statField(stat, 'state'))) return zombie(pid);
    return (Number(statField(stat, 'flags')) & PF_KTHREAD) !== 0 ? kernelThread(pid) : noSuchTask(pid);
  } catch {
    return noSuchTask(pid);
  }
}
