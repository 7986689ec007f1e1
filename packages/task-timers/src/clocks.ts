/** Clocks that POSIX timers can have. CPU clocks carry a pid or tid: include/linux/posix-timers_types.h. */

const PER_THREAD = 4;
const KIND_MASK = 3;
/** CPUCLOCK_SCHED; the kind 3 means a descriptor, on whose clock no timer can be. */
const SCHED = 2;
const FD = 3;
/** CLOCK_REALTIME, MONOTONIC, BOOTTIME, REALTIME_ALARM, BOOTTIME_ALARM, TAI: include/uapi/linux/time.h. */
const WALL_CLOCKS = new Set([0, 1, 7, 8, 9, 11]);
/** CLOCK_PROCESS_CPUTIME_ID and CLOCK_THREAD_CPUTIME_ID as programs write them; the kernel shows -6 and -2. */
const PROCESS_CPU = 2;
const THREAD_CPU = 3;

export interface CpuClock {
  /** 0 means the caller that made the timer. */
  readonly id: number;
  readonly perThread: boolean;
}

/** What a clock number says, `wall` for those that are not CPU clocks; undefined where no timer can be on it. */
export function clockOf(clock: number): 'wall' | CpuClock | undefined {
  if (clock === PROCESS_CPU || clock === THREAD_CPU) return { id: 0, perThread: clock === THREAD_CPU };
  if (clock >= 0) return WALL_CLOCKS.has(clock) ? 'wall' : undefined;
  if ((clock & KIND_MASK) === FD) return undefined;
  return { id: ~(clock >> 3), perThread: (clock & PER_THREAD) !== 0 };
}

/** CPU time of one thread, for whoever asks: MAKE_THREAD_CPUCLOCK. */
export function threadCpuClock(tid: number): number {
  return (~tid << 3) | SCHED | PER_THREAD;
}
