import type { TimerfdEntry } from '@crts/image-io';
import { SyscallError } from '@crts/native-syscalls';
import type { Settlement } from '@crts/plugin-api';
import { add, now, setTicks, setTimer } from './clock';
import { notSet } from './errors';
import { isZero, type Timespec } from './fdinfo';

const TFD_TIMER_ABSTIME = 1;
const CLOCK_REALTIME = 0;
const CLOCK_REALTIME_ALARM = 8;

export function isAbsolute(settimeFlags: number): boolean {
  return (settimeFlags & TFD_TIMER_ABSTIME) !== 0;
}

export function isWallClock(clock: number): boolean {
  return clock === CLOCK_REALTIME || clock === CLOCK_REALTIME_ALARM;
}

/** Nothing to do for a timer that was never set. */
export function settleTimer(entry: TimerfdEntry): Settlement | undefined {
  const { id, ticks, settime_flags: flags } = entry;
  const left = timeLeft(entry);
  const interval = { sec: entry.isec, nsec: entry.insec };
  if (isZero(left) && isZero(interval) && flags === 0 && ticks === 0n) return undefined;
  return {
    what: `${text(left)} left, every ${text(interval)}, ${ticks} ticks`,
    run(local) {
      try {
        setTimer(local, flags, isAbsolute(flags) ? expiry(entry, left) : left, interval);
        // Setting it has forgotten them.
        if (ticks > 0n) setTicks(local, ticks);
      } catch (error) {
        if (error instanceof SyscallError) throw notSet(id, error.call, error.errno, error);
        throw error;
      }
    },
  };
}

/** CRIU writes no time left for a periodic timer that has expired and that nobody has read: it begins anew. */
function timeLeft({ vsec, vnsec, isec, insec, ticks }: TimerfdEntry): Timespec {
  const left = { sec: vsec, nsec: vnsec };
  return isZero(left) && ticks > 0n ? { sec: isec, nsec: insec } : left;
}

/**
 * The wall clock means the same after a restore: what it was set to counts. Other clocks have gone on, or are those of another
 * boot: there the time left counts, as with CRIU, whose images say nothing else.
 */
function expiry(entry: TimerfdEntry, left: Timespec): Timespec {
  if (isZero(left)) return left;
  const { crts_expires_sec: sec, crts_expires_nsec: nsec } = entry;
  if (sec !== undefined && isWallClock(entry.clockid)) return { sec, nsec: nsec ?? 0n };
  return add(now(entry.clockid), left);
}

function text({ sec, nsec }: Timespec): string {
  return `${sec}.${String(nsec).padStart(9, '0')} s`;
}
