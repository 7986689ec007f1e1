/** Numbers of descriptors that a task under restore needs for crts: its doorbell, the pages image, what passes through. */
import { rawSyscall } from '@crts/native-syscalls';
import { noFreeNumbers, numberBeyondLimit } from './errors';

/** Each task's own: its doorbell, the pages image, and two that are for who fills the table. */
export const NUMBERS_PER_TASK = 4;
/** Descriptors that are on their way to their numbers. */
const PASSING_ALONE = 3;
/** In a tree a message hands over up to AGENT_MAX_FDS descriptors at once. */
const PASSING_IN_TREE = 253 + 3;
const RLIMIT_NOFILE = 7;

export interface NumbersInUse {
  /** Numbers that descriptors get, in any task. */
  readonly numbers: Iterable<number>;
  /** Below and at this one, any may be used for a moment. */
  readonly scratchTop: number;
  readonly isTree: boolean;
  /** Most tasks that have one table. */
  readonly sharers: number;
  /** Most that a task opens for its threads. */
  readonly lent?: number;
}

/**
 * The first of the free numbers: above all others, so that a descriptor on its way never takes a number that is still to be
 * given; where the limit leaves no room there, in a gap that no task fills.
 */
export function serviceNumbers(
  { numbers, scratchTop, isTree, sharers, lent = 0 }: NumbersInUse,
  limit = descriptorLimit(),
): number {
  const taken = [...new Set(numbers)].sort((a, b) => a - b);
  const needed = sharers * NUMBERS_PER_TASK + (isTree ? PASSING_IN_TREE : PASSING_ALONE) + lent;
  const last = taken.at(-1) ?? -1;
  if (last >= limit) throw numberBeyondLimit(last, limit);
  // Three numbers are every task's own, open or not.
  const above = Math.max(last, scratchTop, 2) + 1;
  if (above + needed <= limit) return above;
  let from = Math.max(scratchTop, 2) + 1;
  for (const number of taken) {
    if (number - from >= needed) return from;
    from = Math.max(from, number + 1);
  }
  throw noFreeNumbers(needed, limit);
}

/** RLIMIT_NOFILE of crts, which its children have too until they get their own: man 2 getrlimit. */
function descriptorLimit(): number {
  const limit = Buffer.alloc(16);
  rawSyscall('prlimit64', 0, RLIMIT_NOFILE, null, limit);
  const soft = limit.readBigUInt64LE(0);
  return soft > 0x7fff_ffffn ? 0x7fff_ffff : Number(soft);
}
