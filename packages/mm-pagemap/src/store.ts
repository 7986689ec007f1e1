import { closeSync, openSync } from 'node:fs';
import type { PagemapEntry, PagemapHead } from '@crts/image-io';
import { preadFull, preallocate, pwriteFull } from '@crts/native-syscalls';
import type {
  FrozenTask,
  ImageSink,
  ImageSource,
  PageArea,
  PageRun,
  PageSource,
  PageStats,
  PageStore,
} from '@crts/plugin-api';
import { collectPages, type PageStretch } from './collect';
import { pagesNotWritten } from './errors';
import { openPages } from './source';

/** PE_LAZY and PE_PRESENT of the format. */
const LAZY = 2;
const PRESENT = 4;
const PAGE = 4096n;
/** Page runs of one program: 240 kB of its arena. */
const RUNS_MAX = 10_000;
/** Memory that the task cannot read itself passes through the engine in pieces of this size. */
const COPY_BYTES = 1024 * 1024;

export const pageStore: PageStore = {
  name: 'mm-pagemap',

  dump(task: FrozenTask, areas: readonly PageArea[], sink: ImageSink): PageStats {
    const pagemap = openSync(`/proc/${task.hostPid}/pagemap`, 'r');
    let stretches: PageStretch[];
    let guards: readonly { start: bigint; end: bigint }[];
    try {
      ({ stretches, guards } = collectPages(pagemap, areas));
    } finally {
      closeSync(pagemap);
    }
    const pagesId = task.pagesId;
    const runs = placeRuns(stretches);
    const head: PagemapHead = { pages_id: pagesId };
    sink.write('pagemap', task.pid, [head, ...stretches.map(entryOf)]);
    const total = runs.reduce((sum, run) => sum + run.lengthBytes, 0n);
    const fd = sink.rawFd('pages', pagesId);
    if (total > 0n) writePages(task, fd, stretches, runs, total);
    const scanned = areas.reduce((sum, area) => sum + (area.end - area.start) / PAGE, 0n);
    return { pagesScanned: Number(scanned), pagesWritten: Number(total / PAGE), guards };
  },

  open: (pid: number, source: ImageSource): PageSource => openPages(pid, source),
};

function entryOf(stretch: PageStretch): PagemapEntry {
  return {
    vaddr: stretch.start,
    // The 32-bit count of older versions: zero tells that the 64-bit one is in use.
    compat_nr_pages: 0,
    flags: PRESENT | (stretch.lazy ? LAZY : 0),
    nr_pages: (stretch.end - stretch.start) / PAGE,
  };
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

/**
 * The task itself writes its pages to the file, so that they are copied once. Reserving the blocks first makes that
 * several times faster on ext4, and tells a full disk before anything is written (measured: docs/performance.md).
 */
function writePages(
  task: FrozenTask,
  fd: number,
  stretches: readonly PageStretch[],
  runs: readonly PageRun[],
  total: bigint,
): void {
  try {
    preallocate(fd, total);
  } catch (error) {
    throw pagesNotWritten(task.pid, total, (error as { errno?: string }).errno);
  }
  const own = runs.filter((_, index) => stretches[index]!.readable);
  for (let at = 0; at < own.length; at += RUNS_MAX) {
    task.run((program) => {
      const file = program.receiveFd(fd);
      program.pagesToFile(file, own.slice(at, at + RUNS_MAX), {
        fail: (errno) => pagesNotWritten(task.pid, total, errno),
      });
      program.call('close', [file]);
    });
  }
  runs.forEach((run, index) => {
    if (!stretches[index]!.readable) copyThroughEngine(task, fd, run, total);
  });
}

function copyThroughEngine(task: FrozenTask, fd: number, run: PageRun, total: bigint): void {
  const mem = openSync(`/proc/${task.hostPid}/mem`, 'r');
  try {
    for (let done = 0n; done < run.lengthBytes; ) {
      const piece = Buffer.alloc(Math.min(COPY_BYTES, Number(run.lengthBytes - done)));
      preadFull(mem, piece, run.addr + done);
      pwriteFull(fd, piece, run.fileOffset + done);
      done += BigInt(piece.length);
    }
  } catch (error) {
    throw pagesNotWritten(task.pid, total, (error as { errno?: string }).errno);
  } finally {
    closeSync(mem);
  }
}
