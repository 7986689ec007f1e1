/** Page frames whose contents are stored already. */

/** 16 bytes a frame, and at most half full: a tree that shares 8 GiB takes 64 MiB. */
const FIRST_SLOTS = 1024;
/** Pages images are below 2^20, pages in one below 2^32: together a number that is exact. */
const PAGES_ID_MAX = 2 ** 20;
const PAGE_MAX = 2 ** 32;

export interface Place {
  readonly pagesId: number;
  /** Index of the page in the pages image. */
  readonly page: number;
}

/** Frame numbers to places; the first place of a frame counts. Open addressing in typed arrays: a Map would take ten times as much. */
export class StoredFrames {
  #frames = new Float64Array(FIRST_SLOTS);
  #places = new Float64Array(FIRST_SLOTS);
  #count = 0;

  find(frame: number): Place | undefined {
    const slot = this.#slotOf(frame);
    if (this.#frames[slot] === 0) return undefined;
    const place = this.#places[slot]!;
    return { pagesId: Math.floor(place / PAGE_MAX), page: place % PAGE_MAX };
  }

  /** Frame 0 is none. */
  add(frame: number, { pagesId, page }: Place): void {
    if (pagesId >= PAGES_ID_MAX || page >= PAGE_MAX) return;
    if (2 * this.#count >= this.#frames.length) this.#grow();
    const slot = this.#slotOf(frame);
    if (this.#frames[slot] !== 0) return;
    this.#frames[slot] = frame;
    this.#places[slot] = pagesId * PAGE_MAX + page;
    this.#count += 1;
  }

  #slotOf(frame: number): number {
    const mask = this.#frames.length - 1;
    // Neighbours in memory are neighbours here: frames of one fork come in stretches.
    let slot = frame & mask;
    while (this.#frames[slot] !== 0 && this.#frames[slot] !== frame) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const [frames, places] = [this.#frames, this.#places];
    this.#frames = new Float64Array(2 * frames.length);
    this.#places = new Float64Array(2 * frames.length);
    for (let slot = 0; slot < frames.length; slot++) {
      if (frames[slot] === 0) continue;
      const to = this.#slotOf(frames[slot]!);
      this.#frames[to] = frames[slot]!;
      this.#places[to] = places[slot]!;
    }
  }
}

/** What /proc/PID/pagemap says of a page, two words: Documentation/admin-guide/mm/pagemap.rst. */
export const PAGEMAP_BYTES = 8;

/** Number of a frame that other mappings may have too; 0: swapped out, nobody else's, or the kernel does not tell. */
export function sharedFrame(low: number, high: number): number {
  const isPresent = high >>> 31 === 1;
  const isExclusive = ((high >>> 24) & 1) === 1;
  if (!isPresent || isExclusive) return 0;
  return (high & 0x007f_ffff) * 2 ** 32 + low;
}
