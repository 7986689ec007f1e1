/** Memory of a task that is still to come, as the address space is now and as it was at the dump. Pure. */

export interface LazyRange {
  readonly start: bigint;
  readonly end: bigint;
  /** Where `start` was at the dump: mappings may have been moved since. */
  readonly from: bigint;
}

const COMPACT_MIN = 1024;

/** Ascending, never overlapping. */
export class LazyRanges {
  #ranges: LazyRange[];
  /** So many at the front are no more. What comes in the background comes from there: moving all others each time would take seconds. */
  #gone = 0;

  constructor(ranges: readonly LazyRange[] = []) {
    this.#ranges = [...ranges].sort((a, b) => (a.start < b.start ? -1 : 1));
  }

  get isEmpty(): boolean {
    return this.#ranges.length === this.#gone;
  }

  get bytes(): bigint {
    return this.all().reduce((sum, { start, end }) => sum + end - start, 0n);
  }

  get first(): LazyRange | undefined {
    return this.#ranges[this.#gone];
  }

  all(): readonly LazyRange[] {
    return this.#ranges.slice(this.#gone);
  }

  /** What is missing at `address`, from there on, at most `lengthBytes`. */
  at(address: bigint, lengthBytes: bigint): LazyRange | undefined {
    const range = this.#ranges[this.#firstBehind(address)];
    if (range === undefined || range.start > address) return undefined;
    const end = range.end < address + lengthBytes ? range.end : address + lengthBytes;
    return { start: address, end, from: range.from + (address - range.start) };
  }

  /** [start, end) has come, or is no more. */
  drop(start: bigint, end: bigint): void {
    this.#cut(start, end);
  }

  /** A mapping was moved. */
  move(from: bigint, to: bigint, lengthBytes: bigint): void {
    const moved = this.#cut(from, from + lengthBytes);
    // What was at the new place is gone: mremap(2) unmaps it.
    this.#cut(to, to + lengthBytes);
    const shifted = moved.map((range) => ({ ...range, start: range.start - from + to, end: range.end - from + to }));
    if (shifted.length > 0) this.#ranges.splice(this.#firstBehind(shifted[0]!.start), 0, ...shifted);
  }

  copy(): LazyRanges {
    return new LazyRanges(this.all());
  }

  /** Takes [start, end) out and returns it. */
  #cut(start: bigint, end: bigint): LazyRange[] {
    const first = this.#firstBehind(start);
    const taken: LazyRange[] = [];
    const kept: LazyRange[] = [];
    let last = first;
    for (; last < this.#ranges.length && this.#ranges[last]!.start < end; last++) {
      const range = this.#ranges[last]!;
      const from = range.start > start ? range.start : start;
      const to = range.end < end ? range.end : end;
      if (range.start < from) kept.push({ ...range, end: from });
      taken.push({ start: from, end: to, from: range.from + (from - range.start) });
      if (to < range.end) kept.push({ start: to, end: range.end, from: range.from + (to - range.start) });
    }
    if (first === this.#gone && kept.length <= last - first) {
      this.#gone = last - kept.length;
      for (const [index, range] of kept.entries()) this.#ranges[this.#gone + index] = range;
      this.#compact();
    } else this.#ranges.splice(first, last - first, ...kept);
    return taken;
  }

  #compact(): void {
    if (this.#gone < COMPACT_MIN || 2 * this.#gone < this.#ranges.length) return;
    this.#ranges = this.#ranges.slice(this.#gone);
    this.#gone = 0;
  }

  /** Index of the first range that ends behind `address`. */
  #firstBehind(address: bigint): number {
    let low = this.#gone;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ranges[middle]!.end <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Stretches of pages, cut where mappings end: one call fills memory of one mapping. Both ascending. */
export function cutAtMappings(
  stretches: readonly { readonly start: bigint; readonly end: bigint }[],
  mappings: readonly { readonly start: bigint; readonly end: bigint }[],
): LazyRange[] {
  const ranges: LazyRange[] = [];
  let index = 0;
  for (const stretch of stretches) {
    while (index < mappings.length && mappings[index]!.end <= stretch.start) index += 1;
    for (let at = index; at < mappings.length && mappings[at]!.start < stretch.end; at++) {
      const start = mappings[at]!.start > stretch.start ? mappings[at]!.start : stretch.start;
      const end = mappings[at]!.end < stretch.end ? mappings[at]!.end : stretch.end;
      ranges.push({ start, end, from: start });
    }
  }
  return ranges;
}
