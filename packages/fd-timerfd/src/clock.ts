/** Timers of the kernel, by system calls of the engine on its own duplicate. */
import { readFileSync } from 'node:fs';
import { syscall } from '@crts/native-syscalls';
import type { ClockShift } from '@crts/plugin-api';
import type { Timespec } from './fdinfo';

const NANOSECONDS = 1_000_000_000n;
const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
/** _IOW('T', 0, __u64), with CONFIG_CHECKPOINT_RESTORE. */
const TFD_IOC_SET_TICKS = 0x40085400;
/** An alarm clock is the clock that it wakes by: CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM. */
const CLOCK_BEHIND: ReadonlyMap<number, number> = new Map([
  [8, 0],
  [9, 7],
]);

export function now(clock: number): Timespec {
  const time = new BigInt64Array(2);
  syscall('clock_gettime', CLOCK_BEHIND.get(clock) ?? clock, time);
  return { sec: time[0]!, nsec: time[1]! };
}

export function add(one: Timespec, other: Timespec): Timespec {
  const nsec = one.nsec + other.nsec;
  return { sec: one.sec + other.sec + nsec / NANOSECONDS, nsec: nsec % NANOSECONDS };
}

/** A time of a tree with clocks of its own from one of crts (`direction` 1), or back (-1). */
export function shifted(time: Timespec, clock: number, shift: ClockShift | undefined, direction: 1n | -1n): Timespec {
  const behind = CLOCK_BEHIND.get(clock) ?? clock;
  if (shift === undefined || behind === CLOCK_REALTIME) return time;
  const by = behind === CLOCK_MONOTONIC ? shift.monotonic : shift.boottime;
  const total = time.sec * NANOSECONDS + time.nsec + direction * by;
  // A time before the clock began has passed; 0 would disarm a timer.
  if (total <= 0n) return { sec: 0n, nsec: 1n };
  return { sec: total / NANOSECONDS, nsec: total % NANOSECONDS };
}

/**
 * timerfd_gettime(2) starts a periodic timer that has expired anew, and counts what it has missed, as reading it would: only
 * then fdinfo tells both.
 */
export function refreshedFdinfo(local: number): string {
  syscall('timerfd_gettime', local, Buffer.alloc(32));
  return readFileSync(`/proc/self/fdinfo/${local}`, 'utf8');
}

export function setTimer(local: number, flags: number, value: Timespec, interval: Timespec): void {
  const spec = new BigInt64Array([interval.sec, interval.nsec, value.sec, value.nsec]);
  syscall('timerfd_settime', local, flags, spec, null);
}

export function setTicks(local: number, ticks: bigint): void {
  syscall('ioctl', local, TFD_IOC_SET_TICKS, new BigUint64Array([ticks]));
}
