/**
 * What a program needs to run its next instructions. A lazy restore reads it first: reading so much takes a millisecond or two, and a
 * fault has to wait for a server that may only be starting. Pure.
 */
import type { CoreEntry, MmEntry } from '@crts/image-io';
import type { Range } from './private-memory';

/** Small mappings are taken whole, the smallest first, up to so much of a tree: .data, .bss, small heaps. */
const TREE_BYTES = 4n * 1024n * 1024n;
const TASK_BYTES_MIN = 64n * 1024n;
/** Of each thread: its stack from below the red zone up, and what it reaches by FS. */
const STACK_BYTES = 32n * 1024n;
const THREAD_AREA_BYTES = 8n * 1024n;
const CODE_BYTES = 16n * 1024n;
const PAGE = 4096n;

export interface Registers {
  readonly sp: bigint;
  readonly ip: bigint;
  readonly fs_base: bigint;
}

export function registersOf(core: unknown): Registers | undefined {
  return (core as CoreEntry).thread_info?.gpregs;
}

/** How much of small mappings each of so many tasks may have. */
export function hotBytes(tasks: number): bigint {
  const share = TREE_BYTES / BigInt(Math.max(1, tasks));
  return share > TASK_BYTES_MIN ? share : TASK_BYTES_MIN;
}

/** Parts of `lazy` that are not to wait; both ascending. `mappings` are those of the task. */
export function hotRanges(
  lazy: readonly Range[],
  mappings: Pick<MmEntry, 'vmas'>['vmas'],
  threads: readonly Registers[],
  budget: bigint,
): Range[] {
  const wanted = threads.flatMap(({ sp, ip, fs_base: area }) => [
    around(sp - PAGE, STACK_BYTES),
    around(ip - CODE_BYTES / 2n, CODE_BYTES),
    around(area - THREAD_AREA_BYTES / 2n, THREAD_AREA_BYTES),
  ]);
  return intersect(lazy, joined([...wanted, ...smallMappings(lazy, mappings, budget)]));
}

/** Both ascending, without overlaps. */
export function subtract(ranges: readonly Range[], others: readonly Range[]): Range[] {
  const left: Range[] = [];
  let index = 0;
  for (const { start, end } of ranges) {
    let at = start;
    while (index < others.length && others[index]!.end <= at) index += 1;
    for (let next = index; next < others.length && others[next]!.start < end; next++) {
      const other = others[next]!;
      if (other.start > at) left.push({ start: at, end: other.start });
      at = other.end;
    }
    if (at < end) left.push({ start: at, end });
  }
  return left;
}

function smallMappings(lazy: readonly Range[], mappings: readonly Range[], budget: bigint): Range[] {
  const sized = [...mappings]
    .sort((a, b) => (a.start < b.start ? -1 : 1))
    .map(({ start, end }) => ({ start, end, bytes: 0n }));
  let index = 0;
  for (const { start, end } of lazy) {
    while (index < sized.length && sized[index]!.end <= start) index += 1;
    for (let at = index; at < sized.length && sized[at]!.start < end; at++) {
      const mapping = sized[at]!;
      mapping.bytes += least(end, mapping.end) - most(start, mapping.start);
    }
  }
  const taken: Range[] = [];
  let left = budget;
  for (const one of sized.filter(({ bytes }) => bytes > 0n).sort((a, b) => Number(a.bytes - b.bytes))) {
    if (one.bytes > left) break;
    left -= one.bytes;
    taken.push(one);
  }
  return taken;
}

function around(start: bigint, lengthBytes: bigint): Range {
  const from = start < 0n ? 0n : start - (start % PAGE);
  return { start: from, end: from + lengthBytes };
}

function joined(ranges: readonly Range[]): Range[] {
  const found: { start: bigint; end: bigint }[] = [];
  for (const { start, end } of [...ranges].sort((a, b) => (a.start < b.start ? -1 : 1))) {
    const last = found.at(-1);
    if (last === undefined || last.end < start) found.push({ start, end });
    else last.end = most(last.end, end);
  }
  return found;
}

function intersect(ranges: readonly Range[], others: readonly Range[]): Range[] {
  const met: Range[] = [];
  let index = 0;
  for (const { start, end } of ranges) {
    while (index < others.length && others[index]!.end <= start) index += 1;
    for (let at = index; at < others.length && others[at]!.start < end; at++)
      met.push({ start: most(start, others[at]!.start), end: least(end, others[at]!.end) });
  }
  return met;
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function most(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
