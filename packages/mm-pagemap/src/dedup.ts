/**
 * Frees the room of pages that nobody will ask for any more: holes in the pages images of the sets that another one builds
 * on. Sizes and pagemaps stay as they are, as with CRIU.
 */
import { closeSync, openSync } from 'node:fs';
import { errnoName, rawSyscall } from '@crts/native-syscalls';
import type { ImageSource } from '@crts/plugin-api';
import { chainTooLong, noPunchHole, nothingToDedup, sharedPages } from './errors';
import { type OwnEntry, readPagemap, USER_END } from './pagemap';
import { CHAIN_MAX, imageName, openPages } from './source';

const KINDS = ['pagemap', 'pagemap-shmem'] as const;
/** FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, man 2 fallocate. */
const PUNCH = 3;
const EINTR = 4;

/** Bytes of a file or of an address space. */
export interface Span {
  readonly start: bigint;
  readonly end: bigint;
}

/** What is to be punched out of one pages image. */
interface Holes {
  readonly source: ImageSource;
  readonly pagesId: number;
  readonly spans: readonly Span[];
}

/**
 * Pages that a set has itself are punched out of all sets that it builds on, one behind the other, as far as each knows the
 * address. Returns the number of bytes.
 */
export function dedup(source: ImageSource): bigint {
  const parent = source.parent();
  if (parent === undefined) throw nothingToDedup();
  // All is read and validated before the first hole is made.
  const holes = KINDS.flatMap((kind) =>
    parent.ids(kind).flatMap((id) => (source.has(kind, id) ? superseded(kind, id, source) : [])),
  );
  return punchAll(holes);
}

function superseded(kind: string, id: number, source: ImageSource): Holes[] {
  const { entries } = readPagemap(kind, id, source, imageName(kind, id, 0));
  // What another image has is in this set all the same.
  let own = spansOf(entries.filter(({ inParent }) => !inParent));
  const holes: Holes[] = [];
  let depth = 0;
  for (let older = source.parent(); older !== undefined && own.length > 0; older = older.parent()) {
    depth += 1;
    const image = imageName(kind, id, depth);
    if (depth > CHAIN_MAX) throw chainTooLong(image, CHAIN_MAX);
    if (!older.has(kind, id)) break;
    const { pagesId, entries: known } = readPagemap(kind, id, older, image);
    if (known.some((entry) => entry.pagesId !== undefined)) throw sharedPages(image);
    const met = overlaps(own, known);
    holes.push({
      source: older,
      pagesId,
      spans: merge(
        met.filter(({ entry }) => !entry.inParent).map(({ start, end, entry }) => inFile(entry, start, end)),
      ),
    });
    // What a set does not know at all is not looked for behind it.
    own = merge(met);
  }
  return holes;
}

/** Everything that a restore of this set has read, in it and in those that it builds on. */
export function punchRestored(source: ImageSource): bigint {
  const fds = new Map<number, Span[]>();
  for (const kind of KINDS)
    for (const id of source.ids(kind)) {
      const pages = openPages(kind, id, source);
      for (const { file, fileOffset, lengthBytes } of pages.runs(0n, USER_END)) {
        const fd = pages.files[file]!;
        const spans = fds.get(fd) ?? [];
        spans.push({ start: fileOffset, end: fileOffset + lengthBytes });
        fds.set(fd, spans);
      }
    }
  let bytes = 0n;
  let depth = 0;
  for (let set: ImageSource | undefined = source; set !== undefined && depth <= CHAIN_MAX; set = set.parent()) {
    set.markDeduplicated();
    depth += 1;
  }
  for (const [fd, spans] of fds) bytes += punch(fd, merge(spans.sort((a, b) => (a.start < b.start ? -1 : 1))));
  return bytes;
}

function punchAll(holes: readonly Holes[]): bigint {
  let bytes = 0n;
  for (const { source, pagesId, spans } of holes) {
    if (spans.length === 0) continue;
    // Before: a set with holes brings no program back by itself.
    source.markDeduplicated();
    bytes += punch(source.rawFd('pages', pagesId), spans);
  }
  return bytes;
}

/** The descriptor is for reading. */
function punch(fd: number, spans: readonly Span[]): bigint {
  const file = openSync(`/proc/self/fd/${fd}`, 'r+');
  try {
    for (const { start, end } of spans) {
      let result: number;
      do result = rawSyscall('fallocate', file, PUNCH, start, end - start);
      while (result === -EINTR);
      if (result < 0) throw noPunchHole(errnoName(-result));
    }
  } finally {
    closeSync(file);
  }
  return spans.reduce((sum, { start, end }) => sum + end - start, 0n);
}

function spansOf(entries: readonly OwnEntry[]): Span[] {
  return merge(entries.map(({ addr, lengthBytes }) => ({ start: addr, end: addr + lengthBytes })));
}

function inFile({ addr, fileOffset }: OwnEntry, start: bigint, end: bigint): Span {
  return { start: fileOffset + (start - addr), end: fileOffset + (end - addr) };
}

/** Parts of ascending spans that lie in ascending entries. */
export function overlaps(spans: readonly Span[], entries: readonly OwnEntry[]): (Span & { entry: OwnEntry })[] {
  const found: (Span & { entry: OwnEntry })[] = [];
  let first = 0;
  for (const span of spans) {
    while (first < entries.length && endOf(entries[first]!) <= span.start) first += 1;
    for (let index = first; index < entries.length && entries[index]!.addr < span.end; index++) {
      const entry = entries[index]!;
      const start = entry.addr > span.start ? entry.addr : span.start;
      const end = endOf(entry) < span.end ? endOf(entry) : span.end;
      found.push({ start, end, entry });
    }
  }
  return found;
}

function endOf({ addr, lengthBytes }: OwnEntry): bigint {
  return addr + lengthBytes;
}

/** Joins ascending spans that touch or overlap. */
export function merge(spans: readonly Span[]): Span[] {
  const merged: Span[] = [];
  for (const { start, end } of spans) {
    const last = merged.at(-1);
    if (last === undefined || last.end < start) merged.push({ start, end });
    else if (last.end < end) merged[merged.length - 1] = { start: last.start, end };
  }
  return merged;
}
