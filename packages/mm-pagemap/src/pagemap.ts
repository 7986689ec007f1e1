/** The entries of one pagemap image, validated: `pagemap` of a task, `pagemap-shmem` of an object. */
import type { PagemapEntry, PagemapHead } from '@crts/image-io';
import type { ImageSource } from '@crts/plugin-api';
import { badPagemap, pagesElsewhere } from './errors';

/** PE_PARENT, PE_LAZY and PE_PRESENT of the format. */
export const PARENT = 1;
export const LAZY = 2;
export const PRESENT = 4;
export const PAGE = 4096n;
/** End of user addresses with four-level paging: TASK_SIZE_MAX. */
export const USER_END = 0x7fff_ffff_f000n;

/** An entry and where its contents lie in the set's own pages image. */
export interface OwnEntry {
  readonly addr: bigint;
  readonly lengthBytes: bigint;
  /** The contents are in the set that this one builds on. */
  readonly inParent: boolean;
  /** The contents are with a page server only. */
  readonly isElsewhere: boolean;
  /** Fit to come later (PE_LAZY). */
  readonly isLazy: boolean;
  readonly fileOffset: bigint;
  /** The pages image that has them, where it is not the set's own of this pagemap. */
  readonly pagesId?: number | undefined;
}

/** `pages_id` of a pagemap that refers to pages of others: no file has it, so CRIU finds none. */
export const NOWHERE = 0xffff_ffff;

export interface Pagemap {
  readonly pagesId: number;
  /** Ascending, never overlapping. */
  readonly entries: readonly OwnEntry[];
  /** Size of the pages image that the entries need. */
  readonly sizeBytes: bigint;
}

/** `image` is the name for errors; `elsewhere`: pages may be with a page server only. */
export function readPagemap(kind: string, id: number, source: ImageSource, image: string, elsewhere = false): Pagemap {
  const [head, ...raw] = source.read(kind, id) as [PagemapHead | undefined, ...PagemapEntry[]];
  if (head === undefined) throw badPagemap(image, 0, 'the head is missing');
  const entries: OwnEntry[] = [];
  let sizeBytes = 0n;
  let end = 0n;
  raw.forEach((entry, index) => {
    const { flags, lengthBytes } = checkedEntry(entry, end, (what) => badPagemap(image, index + 1, what));
    const addr = entry.vaddr;
    end = addr + lengthBytes;
    const inParent = (flags & PARENT) !== 0;
    const isElsewhere = !inParent && (flags & PRESENT) === 0;
    if (isElsewhere && !elsewhere) throw pagesElsewhere(image);
    const isLazy = !inParent && (flags & LAZY) !== 0;
    if (entry.crts_pages_id !== undefined) {
      const page = entry.crts_page ?? 0n;
      if (inParent || isElsewhere || page > USER_END)
        throw badPagemap(image, index + 1, 'pages of another image, and of the parent');
      const fileOffset = page * PAGE;
      entries.push({ addr, lengthBytes, inParent, isElsewhere, isLazy, fileOffset, pagesId: entry.crts_pages_id });
      return;
    }
    entries.push({ addr, lengthBytes, inParent, isElsewhere, isLazy, fileOffset: sizeBytes });
    if (!inParent && !isElsewhere) sizeBytes += lengthBytes;
  });
  return { pagesId: head.crts_pages_id ?? head.pages_id, entries, sizeBytes };
}

function checkedEntry(entry: PagemapEntry, end: bigint, bad: (what: string) => Error) {
  const pages = entry.nr_pages ?? BigInt(entry.compat_nr_pages ?? 0);
  // Before flags existed, every entry was present or in the parent.
  const flags = entry.flags ?? (entry.in_parent === true ? PARENT : PRESENT);
  if ((flags & ~(PARENT | LAZY | PRESENT)) !== 0 || flags === 0)
    throw bad(`flags 0x${flags.toString(16)} have no meaning`);
  if (entry.vaddr % PAGE !== 0n) throw bad(`address 0x${entry.vaddr.toString(16)} is not page aligned`);
  if (pages === 0n || pages > (USER_END - entry.vaddr) / PAGE || entry.vaddr >= USER_END)
    throw bad(`${pages} pages do not fit the address space`);
  if (entry.vaddr < end) throw bad(`pages at 0x${entry.vaddr.toString(16)} overlap the entry before`);
  return { flags, lengthBytes: pages * PAGE };
}
