import { closeSync, openSync } from 'node:fs';
import type { PagemapEntry, PagemapHead } from '@crts/image-io';
import { pwriteFull, rawSyscall, withLent } from '@crts/native-syscalls';
import type {
  FrozenTask,
  ImageSink,
  ImageSource,
  Increment,
  PageArea,
  PageOutlet,
  PageRun,
  PageSource,
  PageStats,
  PageStore,
} from '@crts/plugin-api';
import { collectPages, markerProbe, type PageStretch, scanOf } from './collect';
import { dedup, punchRestored } from './dedup';
import { noPagemapScan, pagesNotWritten } from './errors';
import { LAZY, NOWHERE, PAGE, PARENT, PRESENT } from './pagemap';
import { REMOTE_PARENT, sendCopied, sendRuns } from './send';
import { type ChosenStretch, shareWithOthers } from './share';
import { dumpShared } from './shared';
import { openPages } from './source';
import { sumOf, writePages } from './write';

/** Memory that the task cannot read itself passes through the engine in pieces of this size. */
const COPY_BYTES = 1024 * 1024;

export const pageStore: PageStore = {
  name: 'mm-pagemap',

  dump(task: FrozenTask, areas: readonly PageArea[], sink: ImageSink, increment?: Increment): PageStats {
    if (increment?.outlet !== undefined) return sendDump(task, areas, increment, increment.outlet);
    const { choice: all, guards } = choosePages(task, areas, increment);
    const sharing = task.options.sharePages === true ? shareWithOthers(task, all.entries, sink) : undefined;
    const choice = sharing === undefined ? all : choiceOf(sharing.entries);
    const fd = writePagemap(task, choice, sink);
    const stats = { ...statsOf(areas, choice), guards };
    if (choice.total === 0n) {
      sharing?.written();
      return stats;
    }
    const writing = writePages(task, fd, choice.stored, choice.runs, choice.total);
    if (sharing === undefined) return { ...stats, writing };
    // The next task is compared with what this one has stored.
    for (const part of writing.parts) withLent(task, fd, (program, file) => part.emit(program, file));
    writing.finish();
    sharing.written();
    return stats;
  },

  preDump(task: FrozenTask, areas: readonly PageArea[], sink: ImageSink, increment: Increment): () => PageStats {
    const { outlet } = increment;
    const hasParent = outlet?.hasParent('pagemap', task.pid);
    const { choice, guards } = choosePages(
      task,
      areas,
      hasParent ? { ...increment, parent: REMOTE_PARENT } : increment,
    );
    const mem = openSync(`/proc/${task.hostPid}/mem`, 'r');
    return () => {
      try {
        outlet?.open('pagemap', task.pid);
        outlet?.expect(choice.total);
        if (outlet === undefined) task.options.progress?.expect(choice.total);
        const kept = copyRunning(mem, choice, outlet === undefined ? toFile(task, sink) : toServer(outlet));
        if (outlet === undefined) writePagemap(task, kept, sink);
        return { ...statsOf(areas, kept), guards };
      } finally {
        closeSync(mem);
      }
    };
  },

  open: (pid: number, source: ImageSource, options?: { readonly elsewhere?: boolean }): PageSource =>
    openPages('pagemap', pid, source, options),

  dumpShared,

  openShared: (shmid: number, source: ImageSource): PageSource => openPages('pagemap-shmem', shmid, source),

  dedup,

  punchRestored,
};

type Entry = ChosenStretch;

/** Pages of a task by where they are kept. */
interface Choice {
  /** All, ascending: entries of the pagemap. */
  readonly entries: readonly Entry[];
  readonly stored: readonly PageStretch[];
  /** Where the stored ones lie in the file. */
  readonly runs: readonly PageRun[];
  readonly total: bigint;
}

function choosePages(task: FrozenTask, areas: readonly PageArea[], increment: Increment | undefined) {
  const { stretches, guards } = scanTask(task, areas, increment?.startOver ?? false);
  const entries = splitByParent(stretches, increment?.parent);
  const isLater = ({ inParent, lazy }: Entry) => increment?.lazyLater === true && lazy && !inParent;
  return {
    choice: choiceOf(entries.map((entry) => (isLater(entry) ? { ...entry, isElsewhere: true } : entry))),
    guards,
  };
}

function choiceOf(entries: Choice['entries']): Choice {
  const stored = entries.filter(
    ({ inParent, isElsewhere, sharedWith }) => !inParent && isElsewhere !== true && sharedWith === undefined,
  );
  const runs = placeRuns(stored);
  return { entries, stored, runs, total: sumOf(runs) };
}

/** Pages that were not written since stay in the parent set, but only those that it really has: never a wrong one. */
export function splitByParent(stretches: readonly PageStretch[], parent: PageSource | undefined): Choice['entries'] {
  const entries: Entry[] = [];
  for (const stretch of stretches) {
    let position = stretch.start;
    const known = stretch.unchanged && parent !== undefined ? parent.runs(stretch.start, stretch.end) : [];
    const add = (start: bigint, end: bigint, inParent: boolean): void => {
      if (start === end) return;
      const last = entries.at(-1);
      if (last?.end === start && last.inParent && inParent && last.lazy === stretch.lazy)
        entries[entries.length - 1] = { ...last, end };
      else entries.push({ ...stretch, start, end, inParent });
    };
    for (const { addr, lengthBytes } of known) {
      add(position, addr, false);
      add(addr, addr + lengthBytes, true);
      position = addr + lengthBytes;
    }
    add(position, stretch.end, false);
  }
  return entries;
}

function writePagemap(task: FrozenTask, { entries }: Choice, sink: ImageSink): number {
  const refers = entries.some(({ sharedWith }) => sharedWith !== undefined);
  const head: PagemapHead = refers ? { pages_id: NOWHERE, crts_pages_id: task.pagesId } : { pages_id: task.pagesId };
  sink.write('pagemap', task.pid, [head, ...entries.map(entryOf)]);
  return sink.rawFd('pages', task.pagesId);
}

function statsOf(areas: readonly PageArea[], { total, entries }: Choice) {
  const scanned = areas.reduce((sum, area) => sum + (area.pages === 'none' ? 0n : area.end - area.start), 0n);
  const later = entries.filter(({ isElsewhere }) => isElsewhere === true);
  return { pagesScanned: Number(scanned / PAGE), pagesWritten: Number(total / PAGE), later };
}

/** Where pages of a running task go: those that are copied, in their order, and those that stay in the parent set. */
interface CopyTarget {
  take(stretch: Entry, bytes: Buffer): void;
  leave(stretch: Entry): void;
}

function toFile(task: FrozenTask, sink: ImageSink): CopyTarget {
  const fd = sink.rawFd('pages', task.pagesId);
  let offset = 0n;
  return {
    take: (_, bytes) => {
      writePiece(task.pid, fd, offset, bytes);
      offset += BigInt(bytes.length);
      task.options.progress?.add(BigInt(bytes.length));
    },
    leave: () => undefined,
  };
}

function toServer(outlet: PageOutlet): CopyTarget {
  return {
    take: (stretch, bytes) => sendCopied(stretch.start, bytes, flagsOf(stretch), outlet),
    leave: (stretch) => outlet.send(outlet.record(stretch.start, stretch.end, flagsOf(stretch)), true),
  };
}

/** The task's pages go to a page server, and nothing of them into the images directory. */
function sendDump(task: FrozenTask, areas: readonly PageArea[], increment: Increment, outlet: PageOutlet): PageStats {
  const parent = outlet.open('pagemap', task.pid) ? REMOTE_PARENT : undefined;
  const { choice, guards } = choosePages(task, areas, { ...increment, parent });
  const runs = choice.entries.map((entry) => ({
    ...entry,
    flags: flagsOf(entry),
    isPresent: !entry.inParent && entry.isElsewhere !== true,
  }));
  outlet.expect(choice.total);
  sendRuns(task, runs, outlet);
  return { ...statsOf(areas, choice), guards };
}

/**
 * Copies pages of a task that runs. Those that it has unmapped meanwhile are left out: whatever is there later counts as
 * written. Returns what was copied.
 */
function copyRunning(mem: number, { entries }: Choice, target: CopyTarget): Choice {
  const kept: Entry[] = [];
  const buffer = Buffer.alloc(COPY_BYTES);
  for (const entry of entries) {
    if (entry.inParent) {
      kept.push(entry);
      target.leave(entry);
      continue;
    }
    for (let start = entry.start; start < entry.end; ) {
      const left = entry.end - start;
      const piece = left < buffer.length ? buffer.subarray(0, Number(left)) : buffer;
      const copied = readRunning(mem, piece, start);
      if (copied > 0) {
        const part = { ...entry, start, end: start + BigInt(copied) };
        target.take(part, piece.subarray(0, copied));
        kept.push(part);
      }
      // A page that is gone is passed over; then it goes on behind it.
      start += copied === piece.length ? BigInt(copied) : BigInt(copied) + PAGE;
    }
  }
  return choiceOf(kept);
}

/** Whole pages that could be read from the start on. */
function readRunning(mem: number, piece: Buffer, start: bigint): number {
  let done = 0;
  while (done < piece.length) {
    const count = rawSyscall('pread64', mem, piece.subarray(done), piece.length - done, start + BigInt(done));
    if (count <= 0) break;
    done += count;
  }
  return done - (done % Number(PAGE));
}

function writePiece(pid: number, fd: number, offset: bigint, piece: Buffer): void {
  try {
    pwriteFull(fd, piece, offset);
  } catch (error) {
    throw pagesNotWritten(pid, BigInt(piece.length), (error as { errno?: string }).errno);
  }
}

function scanTask(task: FrozenTask, areas: readonly PageArea[], startOver: boolean): ReturnType<typeof collectPages> {
  const pagemap = openSync(`/proc/${task.hostPid}/pagemap`, 'r');
  try {
    return collectPages(areas, scanOf(pagemap), startOver, markerProbe(pagemap));
  } catch (error) {
    const errno = (error as { errno?: string }).errno;
    // ENOTTY: no PAGEMAP_SCAN; EINVAL: it knows no guards.
    throw errno === 'ENOTTY' || errno === 'EINVAL' ? noPagemapScan(task.pid, errno) : error;
  } finally {
    closeSync(pagemap);
  }
}

function entryOf(stretch: Entry): PagemapEntry {
  const { sharedWith } = stretch;
  return {
    vaddr: stretch.start,
    // The 32-bit count of older versions: zero tells that the 64-bit one is in use.
    compat_nr_pages: 0,
    flags: flagsOf(stretch),
    nr_pages: (stretch.end - stretch.start) / PAGE,
    ...(sharedWith === undefined ? {} : { crts_pages_id: sharedWith.pagesId, crts_page: BigInt(sharedWith.page) }),
  };
}

function flagsOf({ inParent, lazy, isElsewhere }: Entry): number {
  if (inParent) return PARENT;
  if (isElsewhere === true) return LAZY;
  return lazy ? PRESENT | LAZY : PRESENT;
}

/** Contents lie in the file in the order of the pagemap. */
function placeRuns(stretches: readonly PageStretch[]): PageRun[] {
  let fileOffset = 0n;
  return stretches.map(({ start, end }) => {
    const run = { addr: start, lengthBytes: end - start, fileOffset };
    fileOffset += run.lengthBytes;
    return run;
  });
}
