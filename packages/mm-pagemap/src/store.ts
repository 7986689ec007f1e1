import { closeSync, fstatSync, openSync } from 'node:fs';
import type { PagemapEntry, PagemapHead } from '@crts/image-io';
import { preadFull, preallocate, pwriteFull } from '@crts/native-syscalls';
import type {
  CrtsError,
  FrozenTask,
  ImageSink,
  ImageSource,
  PageArea,
  PageRun,
  PageSource,
  PageStats,
  PageStore,
} from '@crts/plugin-api';
import { collectPages, type PageStretch, scanOf } from './collect';
import { noPagemapScan, pagesNotWritten, pagesUnreadable } from './errors';
import { dumpShared } from './shared';
import { openPages } from './source';

/** PE_LAZY and PE_PRESENT of the format. */
const LAZY = 2;
const PRESENT = 4;
const PAGE = 4096n;
/** Page runs of one program: 240 kB of its arena. */
const RUNS_MAX = 10_000;
/** Memory that the task cannot read itself passes through the engine in pieces of this size. */
const COPY_BYTES = 1024 * 1024;
const UNLIMITED = 2n ** 64n - 1n;

export const pageStore: PageStore = {
  name: 'mm-pagemap',

  dump(task: FrozenTask, areas: readonly PageArea[], sink: ImageSink): PageStats {
    const { stretches, guards } = scanTask(task, areas);
    const pagesId = task.pagesId;
    const runs = placeRuns(stretches);
    const head: PagemapHead = { pages_id: pagesId };
    sink.write('pagemap', task.pid, [head, ...stretches.map(entryOf)]);
    const total = sumOf(runs);
    const fd = sink.rawFd('pages', pagesId);
    if (total > 0n) writePages(task, fd, stretches, runs, total);
    const scanned = areas.reduce((sum, area) => sum + (area.pages === 'none' ? 0n : area.end - area.start), 0n);
    return { pagesScanned: Number(scanned / PAGE), pagesWritten: Number(total / PAGE), guards };
  },

  open: (pid: number, source: ImageSource): PageSource => openPages('pagemap', pid, source),

  dumpShared,

  openShared: (shmid: number, source: ImageSource): PageSource => openPages('pagemap-shmem', shmid, source),
};

function scanTask(task: FrozenTask, areas: readonly PageArea[]): ReturnType<typeof collectPages> {
  const pagemap = openSync(`/proc/${task.hostPid}/pagemap`, 'r');
  try {
    return collectPages(areas, scanOf(pagemap));
  } catch (error) {
    const errno = (error as { errno?: string }).errno;
    // ENOTTY: no PAGEMAP_SCAN; EINVAL: it knows no guards.
    throw errno === 'ENOTTY' || errno === 'EINVAL' ? noPagemapScan(task.pid, errno) : error;
  } finally {
    closeSync(pagemap);
  }
}

function sumOf(runs: readonly PageRun[]): bigint {
  return runs.reduce((sum, run) => sum + run.lengthBytes, 0n);
}

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
  const mayWrite = total <= fileSizeLimit(task);
  const byTask = (_: unknown, index: number) => mayWrite && stretches[index]!.readable;
  const own = runs.filter(byTask);
  for (let at = 0; at < own.length; at += RUNS_MAX) {
    const part = own.slice(at, at + RUNS_MAX);
    task.run((program) => {
      const file = program.receiveFd(fd);
      program.pagesToFile(file, part, { expect: sumOf(part), fail: (errno) => notStored(task.pid, total, errno) });
      program.call('close', [file]);
    });
  }
  copyThroughEngine(
    task,
    fd,
    runs.filter((run, index) => !byTask(run, index)),
    total,
  );
  const { size } = fstatSync(fd, { bigint: true });
  if (size !== total) throw pagesNotWritten(task.pid, total, undefined);
}

/** The kernel says EFAULT where it can't read the pages, and everything else of the file. */
function notStored(pid: number, total: bigint, errno: string | undefined): CrtsError {
  return errno === 'EFAULT' ? pagesUnreadable(pid, 'by the task itself', errno) : pagesNotWritten(pid, total, errno);
}

/**
 * RLIMIT_FSIZE of the task holds for what the agent writes, and going over it does not only fail: it sends SIGXFSZ,
 * which ends the program (generic_write_check_limits(), fs/read_write.c). Unlimited when the kernel does not say.
 */
function fileSizeLimit(task: FrozenTask): bigint {
  const soft = /^Max file size +(\d+)/m.exec(task.readProc('limits'))?.[1];
  return soft === undefined ? UNLIMITED : BigInt(soft);
}

/** For what the task can't read or may not write: slower, by /proc/PID/mem, which looks at no protection. */
function copyThroughEngine(task: FrozenTask, fd: number, runs: readonly PageRun[], total: bigint): void {
  if (runs.length === 0) return;
  const buffer = Buffer.alloc(COPY_BYTES);
  const mem = openSync(`/proc/${task.hostPid}/mem`, 'r');
  try {
    for (const run of runs) {
      for (let done = 0n; done < run.lengthBytes; ) {
        const left = run.lengthBytes - done;
        const piece = left < buffer.length ? buffer.subarray(0, Number(left)) : buffer;
        copyPiece(task.pid, { mem, addr: run.addr + done }, { fd, offset: run.fileOffset + done }, piece, total);
        done += BigInt(piece.length);
      }
    }
  } finally {
    closeSync(mem);
  }
}

function copyPiece(
  pid: number,
  from: { readonly mem: number; readonly addr: bigint },
  to: { readonly fd: number; readonly offset: bigint },
  piece: Buffer,
  total: bigint,
): void {
  try {
    preadFull(from.mem, piece, from.addr);
  } catch (error) {
    throw pagesUnreadable(pid, `at 0x${from.addr.toString(16)}`, (error as { errno?: string }).errno);
  }
  try {
    pwriteFull(to.fd, piece, to.offset);
  } catch (error) {
    throw pagesNotWritten(pid, total, (error as { errno?: string }).errno);
  }
}
