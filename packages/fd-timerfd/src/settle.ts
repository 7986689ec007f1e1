import type { TimerfdEntry } from '@crts/image-io';
import { SyscallError } from '@crts/native-syscalls';
import type { ClockShift, Settlement } from '@crts/plugin-api';
import { add, now, setTicks, setTimer, shifted } from './clock';
import { notSet } from './errors';
import { isZero, type Timespec } from './fdinfo';

const TFD_TIMER_ABSTIME = 1;

export function isAbsolute(settimeFlags: number): boolean {
  return (settimeFlags & TFD_TIMER_ABSTIME) !== 0;
}

/** Nothing to do for a timer that was never set. */
export function settleTimer(entry: TimerfdEntry, shift: ClockShift | undefined): Settlement | undefined {
  const { id, ticks, settime_flags: flags } = entry;
  const left = timeLeft(entry);
  const interval = { sec: entry.isec, nsec: entry.insec };
  if (isZero(left) && isZero(interval) && flags === 0 && ticks === 0n) return undefined;
  return {
    get what() {
      return `${text(left)} left, every ${text(interval)}, ${ticks} ticks`;
    },
    run(local) {
      try {
        setTimer(local, flags, isAbsolute(flags) ? expiry(entry, left, shift) : left, interval);
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
 * What an absolute timer was set to counts: the wall clock means the same after a restore, and the other clocks of the tree never go
 * back, whether they are those of the machine or of a time namespace. CRIU's images say nothing of it: there the time left counts.
 */
function expiry(entry: TimerfdEntry, left: Timespec, shift: ClockShift | undefined): Timespec {
  if (isZero(left)) return left;
  const { crts_expires_sec: sec, crts_expires_nsec: nsec, clockid } = entry;
  return sec === undefined ? add(now(clockid), left) : shifted({ sec, nsec: nsec ?? 0n }, clockid, shift, -1n);
}

function text({ sec, nsec }: Timespec): string {
  return `${sec}.${String(nsec).padStart(9, '0')} s`;
}
