import { writeSync } from 'node:fs';
import { encodeImage, type ImageWriter, imageKind, type PagemapEntry, type PagemapHead } from '@crts/image-io';
import { PAGE } from '@crts/page-xfer';
import type { PageOwner } from '@crts/plugin-api';

const PAGE_BYTES = 4096n;
/** Entries that are kept in memory: a peer decides how many there are. */
const ENTRIES_MAX = 4096;

/** A pagemap that is written while it comes. Neighbours that are alike become one entry. */
export class PagemapFile {
  readonly #fd: number;
  readonly #kind: PageOwner;
  readonly #head: PagemapHead;
  readonly #headBytes: number;
  #entries: { start: bigint; end: bigint; flags: number }[] = [];
  #isBegun = false;
  #end = 0n;

  constructor(writer: ImageWriter, owner: PageOwner, id: number, pagesId: number) {
    this.#kind = owner;
    this.#fd = writer.rawFd(owner, id);
    this.#head = { pages_id: pagesId };
    this.#headBytes = encodeImage(imageKind(owner), [{ value: this.#head }]).length;
  }

  /** End of the last entry: the next one begins there, or later. */
  get end(): bigint {
    return this.#end;
  }

  add(start: bigint, end: bigint, flags: number): void {
    const last = this.#entries.at(-1);
    if (last?.end === start && last.flags === flags) last.end = end;
    else this.#entries.push({ start, end, flags });
    this.#end = end;
    if (this.#entries.length > ENTRIES_MAX) this.#flush(ENTRIES_MAX);
  }

  finish(): void {
    this.#flush(this.#entries.length);
  }

  #flush(count: number): void {
    const entries = this.#entries.splice(0, count).map(
      ({ start, end, flags }): PagemapEntry => ({
        vaddr: start,
        compat_nr_pages: 0,
        flags,
        nr_pages: (end - start) / PAGE_BYTES,
      }),
    );
    const bytes = encodeImage(
      imageKind(this.#kind),
      [this.#head, ...entries].map((value) => ({ value })),
    );
    const begin = this.#isBegun ? this.#headBytes : 0;
    this.#isBegun = true;
    for (let done = begin; done < bytes.length; ) done += writeSync(this.#fd, bytes, done);
  }
}

export const KNOWN_FLAGS = PAGE.parent | PAGE.lazy | PAGE.present;
