import type { PosixTimerEntry } from '@crts/image-io';
import { itimerspec } from '@crts/native-syscalls';
import type { CrtsError, FrozenTask, FrozenThread, Program } from '@crts/plugin-api';
import { clockOf, threadCpuClock } from './clocks';
import { foreignClock, timerTarget, unknownTimers } from './errors';
import { OwnerSearch } from './owners';
import { type ProcTimer, parseProcTimers, SIGEV } from './proc-timers';

/** The file is read once for a task: the answer of `refuse` is good until it runs again. */
const known = new WeakMap<FrozenTask, readonly ProcTimer[]>();
const searches = new WeakMap<FrozenTask, OwnerSearch>();

export function refusePosix(task: FrozenTask): CrtsError | undefined {
  const timers = parseProcTimers(task.readProc('timers'));
  if (timers === undefined) return unknownTimers(task.pid);
  known.set(task, timers);
  for (const timer of timers) {
    const refusal = refuseTimer(task, timer);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

function refuseTimer(task: FrozenTask, { id, clock, notify, hostTid }: ProcTimer): CrtsError | undefined {
  if (notify === SIGEV.threadId && threadOf(task, hostTid) === undefined) return timerTarget(task.pid, id, hostTid);
  const counted = clockOf(clock);
  if (counted === undefined) return foreignClock(task.pid, id, `clock ${clock}, which crts does not know`);
  if (counted === 'wall' || counted.id === 0) return undefined;
  const isOwn = counted.perThread ? task.threads.some(({ tid }) => tid === counted.id) : counted.id === task.pid;
  const whose = counted.perThread ? `thread ${counted.id}, which has ended` : `process ${counted.id}`;
  return isOwn ? undefined : foreignClock(task.pid, id, `the CPU time of ${whose}`);
}

function threadOf(task: FrozenTask, hostTid: number): FrozenThread | undefined {
  return task.threads.find((thread) => thread.hostTid === hostTid);
}

/** Emits what the kernel tells of each timer only to its process. */
export function dumpPosix(task: FrozenTask, program: Program): () => PosixTimerEntry[] {
  const timers = known.get(task) ?? [];
  const answers = timers.map(({ id }) => {
    const left = program.out(itimerspec.size);
    program.call('timer_gettime', [id, left]);
    return { left, overrun: program.call('timer_getoverrun', [id]) };
  });
  const counting = timers.filter(countsCaller);
  const search = task.threads.length > 1 && counting.length > 0 ? new OwnerSearch(task, counting) : undefined;
  if (search !== undefined) searches.set(task, search);
  return () => {
    const entries = timers.map((timer, index) => {
      const { left, overrun } = answers[index]!;
      return entryOf(task, timer, left.read(), Number(overrun.value));
    });
    search?.process((owners) => {
      for (const { id } of counting) nameOwner(entries.find(({ it_id }) => it_id === id)!, owners.get(id), task);
    });
    return entries;
  };
}

/** For the search of whose CPU time a timer counts: the thread has run. */
export function noteThread(thread: FrozenThread): void {
  searches.get(thread.task)?.thread(thread);
}

function entryOf(task: FrozenTask, timer: ProcTimer, left: Buffer, overrun: number): PosixTimerEntry {
  const entry: PosixTimerEntry = {
    it_id: timer.id,
    clock_id: timer.clock >>> 0,
    si_signo: timer.signal >>> 0,
    it_sigev_notify: timer.notify,
    sival_ptr: timer.value,
    overrun,
    isec: BigInt(itimerspec.get(left, 'it_interval.tv_sec')),
    insec: BigInt(itimerspec.get(left, 'it_interval.tv_nsec')),
    vsec: BigInt(itimerspec.get(left, 'it_value.tv_sec')),
    vnsec: BigInt(itimerspec.get(left, 'it_value.tv_nsec')),
  };
  if (timer.notify === SIGEV.threadId) entry.notify_thread_id = threadOf(task, timer.hostTid)!.tid;
  return entry;
}

function countsCaller({ clock }: ProcTimer): boolean {
  const counted = clockOf(clock);
  return counted !== undefined && counted !== 'wall' && counted.perThread && counted.id === 0;
}

/** The main thread makes all timers again, and CRIU does too: the clock of another thread is written with its number. */
function nameOwner(entry: PosixTimerEntry, owner: FrozenThread | undefined, task: FrozenTask): void {
  if (owner === undefined)
    throw foreignClock(task.pid, entry.it_id, 'the CPU time of the thread that made it, which does not show');
  if (!owner.isMain) entry.clock_id = threadCpuClock(owner.tid) >>> 0;
}
