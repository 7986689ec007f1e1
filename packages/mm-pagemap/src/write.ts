/** Pages of a task go to its pages image. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { cutRuns, preadFull, preallocate, pwriteFull } from '@crts/native-syscalls';
import type { CrtsError, FrozenTask, PageRun, PageWriting, Program, Result } from '@crts/plugin-api';
import type { PageStretch } from './collect';
import { pagesNotWritten, pagesUnreadable } from './errors';

/** Page runs of one program: 240 kB of its arena. */
const RUNS_MAX = 10_000;
/** Of one program where somebody watches: a moment's work. */
const WATCHED_BYTES = 128n * 1024n * 1024n;
/** Memory that the task cannot read itself passes through the engine in pieces of this size. */
const COPY_BYTES = 1024 * 1024;
const UNLIMITED = 2n ** 64n - 1n;

export function sumOf(runs: readonly PageRun[]): bigint {
  return runs.reduce((sum, run) => sum + run.lengthBytes, 0n);
}

/**
 * The task itself writes its pages to the file, so that they are copied once. Reserving the blocks first makes that
 * several times faster on ext4, and tells a full disk before anything is written (measured: docs/performance.md).
 */
export function writePages(
  task: FrozenTask,
  fd: number,
  stretches: readonly PageStretch[],
  runs: readonly PageRun[],
  total: bigint,
): PageWriting {
  const { progress } = task.options;
  progress?.expect(total);
  try {
    preallocate(fd, total);
  } catch (error) {
    throw pagesNotWritten(task.pid, total, (error as { errno?: string }).errno);
  }
  const mayWrite = total <= fileSizeLimit(task);
  const byTask = (_: unknown, index: number) => mayWrite && stretches[index]!.readable;
  const fail = (errno: string | undefined) => notStored(task.pid, total, errno);
  const cut = cutRuns(runs.filter(byTask), 'fileOffset');
  const parts = partsOf(cut, progress === undefined ? undefined : WATCHED_BYTES).map((part) => ({
    bytes: sumOf(part),
    emit: (program: Program, file: Result) => void program.pagesToFile(file, part, { fail }, fd),
  }));
  return {
    fd,
    parts,
    finish: () => {
      copyThroughEngine(
        task,
        fd,
        runs.filter((run, index) => !byTask(run, index)),
        total,
      );
      const { size } = fstatSync(fd, { bigint: true });
      if (size !== total) throw pagesNotWritten(task.pid, total, undefined);
    },
  };
}

/** Runs of one program each: as many as it can have, of `bytes` at most where somebody watches. */
export function partsOf(runs: readonly PageRun[], bytes: bigint | undefined): PageRun[][] {
  const parts: PageRun[][] = [];
  let part: PageRun[] = [];
  let left = bytes;
  const add = (run: PageRun) => {
    if (part.length === RUNS_MAX || left === 0n) {
      part = [];
      left = bytes;
    }
    if (part.length === 0) parts.push(part);
    part.push(run);
    if (left !== undefined) left -= run.lengthBytes;
  };
  for (const run of runs) {
    if (left === undefined) {
      add(run);
      continue;
    }
    for (let done = 0n; done < run.lengthBytes; ) {
      const room = left === 0n ? bytes! : left;
      const rest = run.lengthBytes - done;
      const lengthBytes = rest < room ? rest : room;
      add({ addr: run.addr + done, lengthBytes, fileOffset: run.fileOffset + done });
      done += lengthBytes;
    }
  }
  return parts;
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
        task.options.progress?.add(BigInt(piece.length));
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
