import type { VmaEntry } from '@crts/image-io';
import { deviceNumber, hasAnonymousNames, hugePagesOf } from '@crts/native-syscalls';
import {
  finishMapping,
  firstProtection,
  hugePageBytes,
  isHuge,
  type Layout,
  layoutOf,
  MAP,
  type MappingHead,
  PROT,
  piecesOf,
  type RestoreContext,
  refusedFlag,
  type StoredRun,
  type TaskImages,
  type TaskPlan,
  VMA_STATE,
  VMA_STATUS,
  type VmaFacts,
  type VmaHandler,
  vmaEntry,
  vmaResource,
} from '@crts/plugin-api';
import { noHugePages } from './errors';
import { planGuard } from './guard';

const NAME = 'mm-anon';

function isAnonymous(vma: VmaFacts): boolean {
  if (isHuge(vma)) return !vma.shared && vma.deleted && vma.name === '/anon_hugepage' && hugePages(vma) !== undefined;
  return (
    !vma.shared &&
    vma.inode === 0n &&
    (vma.name === '' || vma.name === '[heap]' || vma.name === '[stack]' || vma.name.startsWith('[anon:'))
  );
}

/** Huge TLB pages are those of a nameless file: hugetlb_file_setup(), fs/hugetlbfs/inode.c. */
function hugePages(vma: VmaFacts) {
  return isHuge(vma) ? hugePagesOf(deviceNumber(vma)) : undefined;
}

const MADV_HUGEPAGE = 14;

export const anonymousHandler: VmaHandler = {
  name: NAME,

  match: (vma) => (isAnonymous(vma) && refusedFlag(vma) === undefined ? 10 : 0),

  dump(vma) {
    const status = VMA_STATUS.regular | VMA_STATUS.anonPrivate | (vma.name === '[heap]' ? VMA_STATUS.heap : 0);
    const huge = hugePages(vma);
    const flags = MAP.anonymous | (huge?.sizeFlag ?? 0);
    const entry = vmaEntry(vma, { shmid: 0n, pgoff: huge === undefined ? 0n : vma.offset, flags, status });
    // The kernel may drop such memory at any moment; it holds the state of random number generators, whose numbers
    // must not come twice.
    return { entry, pages: vma.vmFlags.has('dp') ? 'none' : 'private' };
  },

  owns: (entry) => {
    const { status } = entry as VmaEntry;
    const special = VMA_STATUS.vdso | VMA_STATUS.vvar | VMA_STATUS.vsyscall;
    return (status & VMA_STATUS.guard) !== 0 || ((status & VMA_STATUS.anonPrivate) !== 0 && (status & special) === 0);
  },

  plan(record, _images: TaskImages, plan: TaskPlan, context: RestoreContext) {
    const entry = record as VmaEntry;
    if ((entry.status & VMA_STATUS.guard) !== 0) return planGuard(entry, plan);
    const layout = namedWherePossible(layoutOf(entry, NAME), context);
    const runs = context.pages.runs(layout.start, layout.end);
    const { range, head } = wordsOf(entry);
    const isHugeTlb = (layout.flags & MAP.hugeTlb) !== 0;
    const kind = (layout.state & VMA_STATE.droppable) === 0 ? MAP.private : MAP.droppable;
    const kept = layout.flags & (MAP.growsDown | MAP.noReserve | MAP.hugeTlb | MAP.hugeSize);
    const flags = kind | MAP.anonymous | MAP.fixedNoReplace | kept;
    // The nameless file is as long as a mapping that may write to it needs: hugetlbfs_file_mmap(), fs/hugetlbfs/inode.c.
    const prot = firstProtection(layout, runs.length > 0 || isHugeTlb);
    plan.privateMapping(head, {
      start: layout.start,
      end: layout.end,
      source: isOfItsOwn(flags, prot)
        ? undefined
        : `anonymous 0x${flags.toString(16)}${wantsHuge(layout) ? ' huge' : ''}`,
      hasPages: runs.length > 0,
      prot,
      map: (program) => {
        if (isHugeTlb)
          program.call('mmap', [layout.start, layout.end - layout.start, prot, flags, -1, entry.pgoff], {
            expect: layout.start,
            what: `map ${range}`,
            fail: (errno) => noHugePages(range, hugePageBytes(layout.flags), errno),
          });
        else
          for (const { start, size } of piecesOf(layout, prot, flags))
            program.call('mmap', [start, size, prot, flags, -1, 0n], { expect: start, what: `map ${range}` });
        if (wantsHuge(layout) && isFull(layout, runs))
          program.call('madvise', [layout.start, layout.end - layout.start, MADV_HUGEPAGE], {
            what: 'fill it with huge pages',
          });
      },
      finish: (program) => finishMapping(program, layout, prot),
    });
  },
};

interface Words {
  readonly range: string;
  readonly head: MappingHead;
}

/** By entry: tasks with equal images have the same ones, and texts of addresses cost more than all else here. */
const known = new WeakMap<VmaEntry, Words>();

function wordsOf(entry: VmaEntry): Words {
  const found = known.get(entry);
  if (found !== undefined) return found;
  const range = `0x${entry.start.toString(16)}-0x${entry.end.toString(16)}`;
  const head = {
    plugin: NAME,
    what: `anonymous ${range}`,
    needs: ['mm:cleared'],
    provides: [vmaResource(entry.start), 'vmas'],
  };
  const words = { range, head };
  known.set(entry, words);
  return words;
}

/** madvise(MADV_HUGEPAGE), which comes before the pages where all of it is filled, and with the other advice else. */
function wantsHuge({ madv }: Layout): boolean {
  return (madv & (1n << BigInt(MADV_HUGEPAGE))) !== 0n;
}

/** A huge page takes its room whole: where less is stored, the task would get more memory than it had. */
function isFull({ start, end }: Layout, runs: readonly StoredRun[]): boolean {
  const stored = runs.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0n);
  return stored * 10n >= (end - start) * 9n;
}

/**
 * What may only be executed gets a protection key when it is mapped: it has to come in its turn. Children have nothing of
 * droppable memory. Huge TLB pages are reserved by who maps them, and a write of a child that finds none left is SIGBUS.
 */
function isOfItsOwn(flags: number, prot: number): boolean {
  const isDroppable = (flags & MAP.droppable) === MAP.droppable;
  return isDroppable || prot === PROT.exec || (flags & MAP.hugeTlb) !== 0;
}

/** A name is for people who look at a process: it stops no restore. */
function namedWherePossible(layout: Layout, { log }: RestoreContext): Layout {
  if (layout.name === undefined || hasAnonymousNames()) return layout;
  const fields = { vma: layout.start.toString(16) };
  log.warn(fields, `the name ${layout.name} of a mapping is lost: the kernel has no CONFIG_ANON_VMA_NAME`);
  return { ...layout, name: undefined };
}
