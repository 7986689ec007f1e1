import type { PosixTimerEntry } from '@crts/image-io';
import { itimerspec, timespec } from '@crts/native-syscalls';
import type { HostStepContext, Logger, Output, TaskPlan } from '@crts/plugin-api';
import { clockOf } from './clocks';
import { SIGEV } from './proc-timers';

const TIMER_ABSTIME = 1;
const NANOSECONDS = 1_000_000_000n;
const SIGSET = 8;
/** The signal of a time that is over comes at once. */
const PATIENCE_SECONDS = 10n;
/** SIGKILL and SIGSTOP cannot be waited for. */
const NOT_WAITED = new Set([9, 19]);

/** Whether timer_getoverrun(2) told of expirations missed before the last signal. */
export function hasFired({ overrun, vsec, vnsec, isec, insec }: PosixTimerEntry): boolean {
  return overrun > 0 && (isec | insec) !== 0n && (vsec | vnsec) !== 0n;
}

/**
 * The count that timer_getoverrun(2) tells is made when a signal of the timer is taken, of the intervals that went by since it
 * was due: common_hrtimer_rearm(), kernel/time/posix-timers.c. So the timer is started as if it had been due so many intervals
 * before its next time, and its signal, which comes at once, is taken from the queue again.
 */
export function planOverruns(timers: readonly PosixTimerEntry[], plan: TaskPlan, log: Logger): void {
  if (timers.length === 0) return;
  plan.hostStep(
    {
      plugin: 'task-timers',
      stage: 'resume',
      what: `start ${timers.length} POSIX timers with an overrun`,
      why: 'what is so many intervals ago is known only when the clock has been read',
      needs: ['posix-timers'],
    },
    (step) => {
      for (const timer of timers) {
        const reason = obstacle(timer) ?? startOverrun(timer, step);
        if (reason === undefined) continue;
        const value = setting(timer, nanoseconds(timer.vsec, timer.vnsec));
        step.run((program) => program.call('timer_settime', [timer.it_id, 0, program.bytes(value), null]));
        log.warn(
          { pid: plan.pid, timer: timer.it_id, overrun: timer.overrun },
          `the overrun count of a POSIX timer is lost: ${reason}`,
        );
      }
    },
  );
}

function obstacle(timer: PosixTimerEntry): string | undefined {
  if (clockOf(timer.clock_id | 0) !== 'wall') return 'its clock counts CPU time, which starts anew';
  if (timer.it_sigev_notify === SIGEV.none) return 'it sends no signal';
  if (timer.it_sigev_notify === SIGEV.threadId) return 'its signal goes to one thread';
  return NOT_WAITED.has(timer.si_signo) ? 'its signal cannot be waited for' : undefined;
}

/** Says why not where it cannot. */
function startOverrun(timer: PosixTimerEntry, step: HostStepContext): string | undefined {
  const interval = nanoseconds(timer.isec, timer.insec);
  const left = nanoseconds(timer.vsec, timer.vnsec);
  const bit = 1n << BigInt(timer.si_signo - 1);
  const { now, pending } = look(timer, step);
  const due = now + left - interval * BigInt(timer.overrun + 1);
  if ((pending & bit) !== 0n) return 'another signal of the same number waits';
  if (due <= 0n || left > interval) return 'its clock has not run so long';
  const set = Buffer.alloc(SIGSET);
  set.writeBigUInt64LE(bit);
  step.run((program) => {
    program.call('timer_settime', [timer.it_id, TIMER_ABSTIME, program.bytes(setting(timer, due)), null], {
      what: `start timer ${timer.it_id} ${timer.overrun} intervals ago`,
    });
    const patience = timespec.encode({ tv_sec: PATIENCE_SECONDS });
    program.call('rt_sigtimedwait', [program.bytes(set), null, program.bytes(patience), SIGSET], {
      what: `take the signal of timer ${timer.it_id}`,
      expect: timer.si_signo,
    });
  });
  return undefined;
}

function look(timer: PosixTimerEntry, step: HostStepContext): { now: bigint; pending: bigint } {
  let time: Output | undefined;
  let pending: Output | undefined;
  step.run((program) => {
    time = program.out(timespec.size);
    pending = program.out(SIGSET);
    program.call('clock_gettime', [timer.clock_id, time]);
    program.call('rt_sigpending', [pending, SIGSET]);
  });
  const bytes = time!.read();
  return {
    now: nanoseconds(timespec.get(bytes, 'tv_sec'), timespec.get(bytes, 'tv_nsec')),
    pending: pending!.read().readBigUInt64LE(0),
  };
}

function setting({ isec, insec }: PosixTimerEntry, value: bigint): Buffer {
  return itimerspec.encode({
    'it_interval.tv_sec': isec,
    'it_interval.tv_nsec': insec,
    'it_value.tv_sec': value / NANOSECONDS,
    'it_value.tv_nsec': value % NANOSECONDS,
  });
}

function nanoseconds(seconds: bigint, rest: bigint): bigint {
  return seconds * NANOSECONDS + rest;
}
