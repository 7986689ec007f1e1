/** Memory that comes when it is needed: a task is built without it, and somebody else is told what it misses (userfaultfd). */
import type { MmEntry, PlainPages } from '@crts/image-io';
import {
  closeFd,
  pidfdGetfd,
  pidfdOpen,
  SyscallError,
  UFFD_LAZY_FLAGS,
  uffdRegisterMissing,
  uffdTellMissing,
} from '@crts/native-syscalls';
import type { PageSource, Result, StoredRun } from '@crts/plugin-api';
import { hotBytes, hotRanges, registersOf, subtract } from './hot-memory';
import type { TaskSet } from './image-set';
import { cannotWatch } from './lazy-errors';
import type { PlanBuilder } from './plan';
import type { PageFiller, Range } from './private-memory';
import type { LazyPages } from './requests';

const PR_SET_THP_DISABLE = 41;
const USER_END = 0x7fff_ffff_f000n;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = 0x20;
const MAP_LOCKED = 0x2000;
const MAP_HUGETLB = 0x4_0000;
/** VMA_AREA_VSYSCALL, _VDSO, _VVAR and _GUARD of the format. */
const SPECIAL_STATUS = 0x4 | 0x8 | 0x1000 | 0x1_0000;

/**
 * Stretches that are left to come later: those that the images mark, in mappings that can be watched. CRIU has the same rule
 * (vma_entry_can_be_lazy()), so that either serves the other.
 */
function lazyStretches({ images }: TaskSet, marked: readonly Range[]): readonly Range[] {
  const { vmas } = images.mm as MmEntry;
  const watched = vmas
    .filter(({ flags, status }) => {
      const wanted = MAP_PRIVATE | MAP_ANONYMOUS;
      return (flags & (wanted | MAP_LOCKED | MAP_HUGETLB)) === wanted && (status & SPECIAL_STATUS) === 0;
    })
    .sort((a, b) => (a.start < b.start ? -1 : 1));
  const found: Range[] = [];
  let index = 0;
  for (const { start, end } of marked) {
    while (index < watched.length && watched[index]!.end <= start) index += 1;
    for (let at = index; at < watched.length && watched[at]!.start < end; at++) {
      const vma = watched[at]!;
      found.push({ start: vma.start > start ? vma.start : start, end: vma.end < end ? vma.end : end });
    }
  }
  return found;
}

/** What comes later. A server of our own also brings what older sets hold, and not what the program is to have at once. */
export function latePages(task: TaskSet, pages: PageSource, server: LazyPages, tasks: number): readonly Range[] {
  if (!server.isOwn) return lazyStretches(task, pages.lazy);
  const lazy = lazyStretches(task, pages.lazyWithParents);
  const { vmas } = task.images.mm as MmEntry;
  const threads = [task.images.core, ...task.threads.map(({ core }) => core)].flatMap(
    (core) => registersOf(core) ?? [],
  );
  return subtract(lazy, hotRanges(lazy, vmas, threads, hotBytes(tasks)));
}

/** Runs without what comes later. Both ascending. */
export function withoutLazy(runs: readonly StoredRun[], lazy: readonly Range[]): readonly StoredRun[] {
  if (lazy.length === 0) return runs;
  const kept: StoredRun[] = [];
  let index = 0;
  for (const run of runs) {
    const end = run.addr + run.lengthBytes;
    let at = run.addr;
    while (index < lazy.length && lazy[index]!.end <= at) index += 1;
    for (let next = index; next < lazy.length && lazy[next]!.start < end; next++) {
      const hole = lazy[next]!;
      if (hole.start > at) kept.push(part(run, at, hole.start));
      at = hole.end > at ? hole.end : at;
    }
    if (at < end) kept.push(part(run, at, end));
  }
  return kept;
}

/** Pages of compressed images that are read before the tree runs: all that does not come later. */
export function fetchPages(plain: PlainPages | undefined, pages: PageSource, lazy: readonly Range[]): void {
  if (plain?.fill === undefined) return;
  for (const { file, fileOffset, lengthBytes } of withoutLazy(pages.runs(0n, USER_END), lazy))
    plain.fill(pages.files[file]!, fileOffset, lengthBytes);
}

function part(run: StoredRun, start: bigint, end: bigint): StoredRun {
  return { ...run, addr: start, lengthBytes: end - start, fileOffset: run.fileOffset + (start - run.addr) };
}

/** Has the mappings with missing pages watched from when they are complete. */
export function planWatch(plan: PlanBuilder, task: TaskSet, filler: PageFiller, server: LazyPages): void {
  const head = { plugin: 'engine', stage: 'memory' } as const;
  const { pid } = task;
  let uffd: Result;
  // A huge page that is made for what comes at once is present whole: its zeroes would be taken for what comes later.
  plan.pass({ plugin: 'engine', stage: 'resources', what: 'no huge pages before all is watched' }, (program) => {
    if (filler.lazy.length > 0) program.call('prctl', [PR_SET_THP_DISABLE, 1, 0, 0, 0]);
  });
  plan.pass({ ...head, what: 'make a userfaultfd', needs: ['vmas'], provides: ['lazy:uffd'] }, (program) => {
    uffd = program.call('userfaultfd', [UFFD_LAZY_FLAGS], {
      what: 'make a userfaultfd',
      fail: (errno) => cannotWatch(pid, 'userfaultfd', errno),
    });
  });
  plan.hostStep(
    {
      ...head,
      what: 'hand what is missing to who brings it',
      why: 'only the engine has the line to the server, and may ask for events of forks (CAP_SYS_PTRACE)',
      needs: ['lazy:uffd'],
    },
    ({ hostPid, run }) => {
      const pidfd = pidfdOpen(hostPid);
      let own: number | undefined;
      try {
        own = pidfdGetfd(pidfd, Number(uffd.value));
        uffdTellMissing(own);
        for (const { start, end } of mappingsOf(task, filler.lazy)) uffdRegisterMissing(own, start, end);
        server.handOver(pid, own, pidfd, filler.lazy);
      } catch (error) {
        throw error instanceof SyscallError ? cannotWatch(pid, error.call, error.errno) : error;
      } finally {
        if (own !== undefined) closeFd(own);
        closeFd(pidfd);
      }
      run((program) => {
        program.call('close', [uffd]);
        // As the kernel starts a process; what the program has set itself comes in stage `resume`.
        if (filler.lazy.length > 0) program.call('prctl', [PR_SET_THP_DISABLE, 0, 0, 0, 0]);
      });
    },
  );
}

/** Whole mappings that have such stretches: what is moved or forked later takes its watch along. */
function mappingsOf({ images }: TaskSet, lazy: readonly Range[]): Range[] {
  const { vmas } = images.mm as MmEntry;
  const isGuard = (status: number) => (status & 0x1_0000) !== 0;
  const sorted = vmas.filter(({ status }) => !isGuard(status)).sort((a, b) => (a.start < b.start ? -1 : 1));
  let index = 0;
  return sorted.filter(({ start, end }) => {
    while (index < lazy.length && lazy[index]!.end <= start) index += 1;
    return index < lazy.length && lazy[index]!.start < end;
  });
}
