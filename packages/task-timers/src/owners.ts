import { itimerspec, timespec } from '@crts/native-syscalls';
import type { FrozenTask, FrozenThread, Output } from '@crts/plugin-api';
import { threadCpuClock } from './clocks';
import type { ProcTimer } from './proc-timers';

const NANOSECONDS = 1_000_000_000n;

interface Look {
  /** CPU time of each thread, ns. */
  readonly used: readonly bigint[];
  /** Time left of each timer, ns; 0 for one that does not run. */
  readonly left: readonly bigint[];
  /** Interval of each timer, ns. */
  readonly every: readonly bigint[];
}

/**
 * A timer that counts "the CPU time of the thread that made it" does not tell which thread that is. But between two looks, while
 * all threads but the main one stand still, each thread runs a little for other handlers, to the nanosecond another time: the
 * timer moved by as much as its thread ran. The first look is taken at once, the second when every thread has run, whatever
 * the order in which handlers are asked.
 */
export class OwnerSearch {
  readonly #task: FrozenTask;
  readonly #timers: readonly ProcTimer[];
  readonly #first: Look | undefined;
  readonly #waiting: Set<FrozenThread | FrozenTask>;
  #found: ((owners: ReadonlyMap<number, FrozenThread>) => void) | undefined;

  constructor(task: FrozenTask, timers: readonly ProcTimer[]) {
    this.#task = task;
    this.#timers = timers;
    this.#waiting = new Set([task, ...task.threads.filter(({ isMain }) => !isMain)]);
    this.#first = look(task, timers);
  }

  /** The process has been asked; `found` is called with the owners by the number of their timers. */
  process(found: (owners: ReadonlyMap<number, FrozenThread>) => void): void {
    this.#found = found;
    this.#done(this.#task);
  }

  /** A thread has run. */
  thread(thread: FrozenThread): void {
    this.#done(thread);
  }

  #done(one: FrozenThread | FrozenTask): void {
    if (!this.#waiting.delete(one) || this.#waiting.size > 0) return;
    const second = look(this.#task, this.#timers);
    // The main thread runs while it looks.
    const third = look(this.#task, this.#timers);
    // In a rehearsal nothing is seen.
    if (this.#first === undefined || second === undefined || third === undefined) return;
    this.#found!(ownersOf(this.#task, this.#timers, this.#first, second, third));
  }
}

function ownersOf(task: FrozenTask, timers: readonly ProcTimer[], first: Look, second: Look, third: Look) {
  const owners = new Map<number, FrozenThread>();
  timers.forEach(({ id }, index) => {
    const left = [first, second, third].map((one) => one.left[index]!);
    if (left[0] === 0n || left[1] === 0n) return;
    const owner =
      left[1] === left[2] ? ownerAmong(task, first, second, index) : task.threads.find((thread) => thread.isMain);
    if (owner !== undefined) owners.set(id, owner);
  });
  return owners;
}

/** The one thread beside the main one that ran exactly as long as the timer moved. */
function ownerAmong(task: FrozenTask, first: Look, second: Look, index: number): FrozenThread | undefined {
  const moved = first.left[index]! - second.left[index]!;
  const every = first.every[index]!;
  const isIntervals = (time: bigint) => (every === 0n ? time === 0n : time % every === 0n);
  const candidates = task.threads.filter(
    ({ isMain }, thread) => !isMain && isIntervals(second.used[thread]! - first.used[thread]! - moved),
  );
  const others = task.threads.filter(({ isMain }) => !isMain);
  if (others.length === 1) return others[0];
  return candidates.length === 1 ? candidates[0] : undefined;
}

function look(task: FrozenTask, timers: readonly ProcTimer[]): Look | undefined {
  let clocks: Output[] | undefined;
  let values: Output[] | undefined;
  task.run((program) => {
    clocks = task.threads.map(({ tid }) => {
      const time = program.out(timespec.size);
      program.call('clock_gettime', [threadCpuClock(tid), time]);
      return time;
    });
    values = timers.map(({ id }) => {
      const value = program.out(itimerspec.size);
      program.call('timer_gettime', [id, value]);
      return value;
    });
  });
  // A rehearsal runs nothing.
  if (clocks === undefined || values === undefined) return undefined;
  return {
    used: clocks.map((clock) => nanoseconds(clock.read(), timespec.offsets.tv_sec)),
    left: values.map((value) => nanoseconds(value.read(), itimerspec.offsets['it_value.tv_sec'])),
    every: values.map((value) => nanoseconds(value.read(), itimerspec.offsets['it_interval.tv_sec'])),
  };
}

/** Of a struct timespec. */
function nanoseconds(bytes: Buffer, at: number): bigint {
  return bytes.readBigInt64LE(at) * NANOSECONDS + bytes.readBigInt64LE(at + 8);
}
