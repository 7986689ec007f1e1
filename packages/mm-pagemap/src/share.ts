/**
 * `--share-pages`: pages that tasks have in common (after fork) are stored once. The frame numbers say which may be equal; that they
 * are is compared, because a frame can change hands while the numbers are read (swap, migration).
 */
import { closeSync, openSync } from 'node:fs';
import { preadFull } from '@crts/native-syscalls';
import type { FrozenTask, ImageSink } from '@crts/plugin-api';
import type { PageStretch } from './collect';
import { PAGEMAP_BYTES, type Place, StoredFrames, sharedFrame } from './frames';
import { PAGE } from './pagemap';

const PAGE_BYTES = Number(PAGE);
/** Pages looked at at once: 64 KiB of the pagemap, 2 x 1 MiB to compare. */
const PAGEMAP_PAGES = 8192;
const COMPARE_PAGES = 256;

/** Pages of a task by where they are kept. */
export interface ChosenStretch extends PageStretch {
  readonly inParent: boolean;
  /** It is given to a lazy restore later, straight from the task. */
  readonly isElsewhere?: boolean;
  /** Another task of the set has them: from this page of its pages image on. */
  readonly sharedWith?: Place | undefined;
}

/** How the sharing sees a task and what is stored. */
export interface ShareAccess {
  /** Two words of the pagemap for each page. */
  pagemap(addr: bigint, pages: number): Uint32Array;
  memory(addr: bigint, pages: number): Buffer;
  stored(place: Place, pages: number): Buffer;
}

/** Frames of the set under construction. */
const framesOf = new WeakMap<ImageSink, StoredFrames>();

export interface Sharing {
  readonly entries: readonly ChosenStretch[];
  /** The task's own pages are in its pages image: others may refer to them from now on. */
  written(): void;
}

export function shareWithOthers(task: FrozenTask, chosen: readonly ChosenStretch[], sink: ImageSink): Sharing {
  const frames = framesOf.get(sink) ?? new StoredFrames();
  framesOf.set(sink, frames);
  const opened = new Map<string, number>();
  const open = (path: string) => {
    const fd = opened.get(path) ?? openSync(path, 'r');
    opened.set(path, fd);
    return fd;
  };
  const read = (path: string, offset: bigint, length: number): Buffer => {
    const bytes = Buffer.alloc(length);
    preadFull(open(path), bytes, offset);
    return bytes;
  };
  const proc = `/proc/${task.hostPid}`;
  const access: ShareAccess = {
    pagemap: (addr, pages) => {
      const bytes = read(`${proc}/pagemap`, (addr / PAGE) * BigInt(PAGEMAP_BYTES), pages * PAGEMAP_BYTES);
      return new Uint32Array(bytes.buffer, bytes.byteOffset, 2 * pages);
    },
    memory: (addr, pages) => read(`${proc}/mem`, addr, pages * PAGE_BYTES),
    stored: ({ pagesId, page }, pages) =>
      read(`/proc/self/fd/${sink.rawFd('pages', pagesId)}`, BigInt(page) * PAGE, pages * PAGE_BYTES),
  };
  try {
    return share(task.pagesId, chosen, frames, access);
  } finally {
    for (const fd of opened.values()) closeSync(fd);
  }
}

export function share(
  pagesId: number,
  chosen: readonly ChosenStretch[],
  frames: StoredFrames,
  access: ShareAccess,
): Sharing {
  const entries: ChosenStretch[] = [];
  const fresh: { readonly frame: number; readonly page: number }[] = [];
  let own = 0;
  const keep = (stretch: ChosenStretch, start: bigint, numbers: readonly number[]): void => {
    if (numbers.length === 0) return;
    for (const [index, frame] of numbers.entries()) if (frame !== 0) fresh.push({ frame, page: own + index });
    own += numbers.length;
    add(entries, { ...stretch, start, end: start + BigInt(numbers.length) * PAGE });
  };
  for (const stretch of chosen) {
    if (stretch.inParent || stretch.isElsewhere === true) {
      entries.push(stretch);
      continue;
    }
    for (const run of candidates(stretch, frames, access)) {
      if (run.place === undefined) {
        keep(stretch, run.start, run.frames);
        continue;
      }
      for (const { isEqual, first, count } of compare(run.start, run.place, run.frames.length, access)) {
        const start = run.start + BigInt(first) * PAGE;
        const sharedWith = { pagesId: run.place.pagesId, page: run.place.page + first };
        if (isEqual) add(entries, { ...stretch, start, end: start + BigInt(count) * PAGE, sharedWith });
        // The frame is somebody else's by now.
        else keep(stretch, start, new Array<number>(count).fill(0));
      }
    }
  }
  return {
    entries,
    written: () => {
      for (const { frame, page } of fresh) frames.add(frame, { pagesId, page });
    },
  };
}

interface Candidates {
  readonly start: bigint;
  /** One for each page; 0: nobody else can have it. */
  readonly frames: number[];
  /** Where pages with these frames are stored, one after the other. */
  readonly place: Place | undefined;
}

function* candidates({ start, end }: ChosenStretch, frames: StoredFrames, access: ShareAccess): Generator<Candidates> {
  let run: Candidates | undefined;
  for (let addr = start; addr < end; ) {
    const left = (end - addr) / PAGE;
    const pages = left < PAGEMAP_PAGES ? Number(left) : PAGEMAP_PAGES;
    const words = access.pagemap(addr, pages);
    for (let index = 0; index < pages; index++) {
      const frame = sharedFrame(words[2 * index]!, words[2 * index + 1]!);
      const place = frame === 0 ? undefined : frames.find(frame);
      if (run !== undefined && continues(run, place)) run.frames.push(frame);
      else {
        if (run !== undefined) yield run;
        run = { start: addr + BigInt(index) * PAGE, frames: [frame], place };
      }
    }
    addr += BigInt(pages) * PAGE;
  }
  if (run !== undefined) yield run;
}

function continues({ frames, place }: Candidates, next: Place | undefined): boolean {
  if (place === undefined || next === undefined) return place === next;
  return next.pagesId === place.pagesId && next.page === place.page + frames.length;
}

/** Stretches of pages that are what is stored, and of those that are not. */
function* compare(
  start: bigint,
  place: Place,
  pages: number,
  access: ShareAccess,
): Generator<{ isEqual: boolean; first: number; count: number }> {
  let last: { isEqual: boolean; first: number; count: number } | undefined;
  for (let at = 0; at < pages; at += COMPARE_PAGES) {
    const count = Math.min(COMPARE_PAGES, pages - at);
    const mine = access.memory(start + BigInt(at) * PAGE, count);
    const stored = access.stored({ ...place, page: place.page + at }, count);
    const isWhole = mine.equals(stored);
    for (let index = 0; index < count; index++) {
      const from = index * PAGE_BYTES;
      const isEqual = isWhole || mine.compare(stored, from, from + PAGE_BYTES, from, from + PAGE_BYTES) === 0;
      if (last?.isEqual === isEqual) last.count += 1;
      else {
        if (last !== undefined) yield last;
        last = { isEqual, first: at + index, count: 1 };
      }
    }
  }
  if (last !== undefined) yield last;
}

function add(entries: ChosenStretch[], entry: ChosenStretch): void {
  const last = entries.at(-1);
  const touches = last?.end === entry.start && last.readable === entry.readable && last.lazy === entry.lazy;
  if (touches && !last.inParent && last.isElsewhere !== true && follows(last, entry.sharedWith))
    entries[entries.length - 1] = { ...last, end: entry.end };
  else entries.push(entry);
}

function follows({ start, end, sharedWith }: ChosenStretch, next: Place | undefined): boolean {
  if (sharedWith === undefined || next === undefined) return sharedWith === next;
  return next.pagesId === sharedWith.pagesId && BigInt(next.page - sharedWith.page) === (end - start) / PAGE;
}
