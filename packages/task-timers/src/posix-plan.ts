import type { PosixTimerEntry } from '@crts/image-io';
import { itimerspec, rawSyscall, sigevent } from '@crts/native-syscalls';
import type { Logger, PassHead, Program, TaskPlan } from '@crts/plugin-api';
import { clockOf } from './clocks';
import { badTimers, foreignClock, timerIds, timerNotMade } from './errors';
import { hasFired, planOverruns } from './overrun';
import { SIGEV } from './proc-timers';

/** include/uapi/linux/prctl.h, since Linux 6.16: timer_create takes the number that it is given. */
const PR_TIMER_CREATE_RESTORE_IDS = 77;
const OFF = 0;
const ON = 1;
const GET = 2;
/** Numbers up to here are reached by making and deleting timers on kernels without it. */
const COUNTED_IDS_MAX = 10_000;
const SIGNALS = 64;
const INT_MAX = 0x7fff_ffff;
const NANOSECONDS = 1_000_000_000n;
const NOTIFICATIONS = new Set<number>(Object.values(SIGEV));

export function kernelRestoresIds(): boolean {
  return rawSyscall('prctl', PR_TIMER_CREATE_RESTORE_IDS, GET, 0, 0, 0) >= 0;
}

/** Validates the timers and adds the passes that make them, in the last stage: time should not run before the program does. */
export function planPosix(
  entries: readonly PosixTimerEntry[],
  plan: TaskPlan,
  log: Logger,
  restoresIds: () => boolean = kernelRestoresIds,
): void {
  if (entries.length === 0) return;
  const timers = [...entries].sort((a, b) => a.it_id - b.it_id);
  timers.forEach((timer, index) => {
    if (timer.it_id === timers[index - 1]?.it_id) throw badTimers('posix', `two timers have the number ${timer.it_id}`);
    checkTimer(timer, plan.pid);
  });
  const withIds = restoresIds();
  const highest = timers.at(-1)!.it_id;
  if (!withIds && highest > COUNTED_IDS_MAX) throw timerIds(plan.pid, highest);
  const head: PassHead = {
    plugin: 'task-timers',
    stage: 'resume',
    what: `make ${timers.length} POSIX timers`,
    entry: `core-${plan.pid}.img`,
    provides: ['posix-timers'],
  };
  plan.pass(head, (program) => {
    if (withIds) emitWithIds(program, timers, plan.pid);
    else emitCounting(program, timers, plan.pid);
    for (const timer of timers)
      if (isArmed(timer) && !hasFired(timer))
        program.call('timer_settime', [timer.it_id, 0, program.bytes(settingOf(timer)), null], {
          what: `start timer ${timer.it_id}`,
        });
  });
  planOverruns(timers.filter(hasFired), plan, log);
}

function emitWithIds(program: Program, timers: readonly PosixTimerEntry[], pid: number): void {
  program.call('prctl', [PR_TIMER_CREATE_RESTORE_IDS, ON, 0, 0, 0]);
  for (const timer of timers) {
    const id = program.out(4);
    program.store(id, 0, timer.it_id, 4);
    emitCreate(program, timer, id, pid);
  }
  program.call('prctl', [PR_TIMER_CREATE_RESTORE_IDS, OFF, 0, 0, 0]);
}

/** A new process counts its timers from 0: posix_timer_add(), kernel/time/posix-timers.c. */
function emitCounting(program: Program, timers: readonly PosixTimerEntry[], pid: number): void {
  let next = 0;
  for (const timer of timers) {
    for (; next < timer.it_id; next++) {
      program.call('timer_create', [1, program.bytes(sigevent.encode({ sigev_notify: SIGEV.none })), program.out(4)]);
      program.call('timer_delete', [next], { what: `count to timer ${timer.it_id}` });
    }
    emitCreate(program, timer, program.out(4), pid);
    // Fails where the timer got another number.
    program.call('timer_getoverrun', [timer.it_id], { what: `look for timer ${timer.it_id}` });
    next++;
  }
}

function emitCreate(program: Program, timer: PosixTimerEntry, id: ReturnType<Program['out']>, pid: number): void {
  const event = sigevent.encode({
    'sigev_value.sival_ptr': timer.sival_ptr,
    sigev_signo: timer.si_signo | 0,
    sigev_notify: timer.it_sigev_notify,
    '_sigev_un._tid': timer.notify_thread_id ?? 0,
  });
  program.call('timer_create', [timer.clock_id | 0, program.bytes(event), id], {
    what: `make timer ${timer.it_id}`,
    fail: (errno) => timerNotMade(pid, timer.it_id, errno),
  });
}

function isArmed({ vsec, vnsec }: PosixTimerEntry): boolean {
  return (vsec | vnsec) !== 0n;
}

function settingOf({ isec, insec, vsec, vnsec }: PosixTimerEntry): Buffer {
  return itimerspec.encode({
    'it_interval.tv_sec': isec,
    'it_interval.tv_nsec': insec,
    'it_value.tv_sec': vsec,
    'it_value.tv_nsec': vnsec,
  });
}

function checkTimer(timer: PosixTimerEntry, pid: number): void {
  const field = `posix[${timer.it_id}]`;
  if (timer.it_id > INT_MAX) throw badTimers(field, 'no valid number');
  if (!NOTIFICATIONS.has(timer.it_sigev_notify)) throw badTimers(field, `it_sigev_notify ${timer.it_sigev_notify}`);
  if (timer.it_sigev_notify !== SIGEV.none && (timer.si_signo < 1 || timer.si_signo > SIGNALS))
    throw badTimers(field, `si_signo ${timer.si_signo}`);
  if (timer.it_sigev_notify === SIGEV.threadId && !((timer.notify_thread_id ?? 0) > 0))
    throw badTimers(field, 'no thread to signal');
  if (timer.overrun > INT_MAX) throw badTimers(field, `overrun ${timer.overrun}`);
  if (timer.isec >= 1n << 62n || timer.vsec >= 1n << 62n || timer.insec >= NANOSECONDS || timer.vnsec >= NANOSECONDS)
    throw badTimers(field, 'no valid time');
  const clock = clockOf(timer.clock_id | 0);
  if (clock === undefined) throw badTimers(field, `clock_id ${timer.clock_id | 0}`);
  if (clock !== 'wall' && !clock.perThread && clock.id !== 0 && clock.id !== pid)
    throw foreignClock(pid, timer.it_id, `the CPU time of process ${clock.id}`);
}
