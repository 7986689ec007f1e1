import type { VmaEntry } from '@crts/image-io';
import { hasAnonymousNames } from '@crts/native-syscalls';
import {
  CrtsError,
  finishMapping,
  firstProtection,
  type Layout,
  layoutOf,
  MAP,
  type RestoreContext,
  refusedFlag,
  type TaskImages,
  type TaskPlan,
  VMA_STATE,
  VMA_STATUS,
  type VmaFacts,
  type VmaHandler,
  vmaEntry,
  vmaResource,
} from '@crts/plugin-api';

const NAME = 'mm-anon';

function isAnonymous(vma: VmaFacts): boolean {
  return (
    !vma.shared &&
    vma.inode === 0n &&
    (vma.name === '' || vma.name === '[heap]' || vma.name === '[stack]' || vma.name.startsWith('[anon:'))
  );
}

export const anonymousHandler: VmaHandler = {
  name: NAME,

  match: (vma) => (isAnonymous(vma) && refusedFlag(vma) === undefined ? 10 : 0),

  dump(vma) {
    const status = VMA_STATUS.regular | VMA_STATUS.anonPrivate | (vma.name === '[heap]' ? VMA_STATUS.heap : 0);
    const entry = vmaEntry(vma, { shmid: 0n, pgoff: 0n, flags: MAP.anonymous, status });
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
    const range = `0x${layout.start.toString(16)}-0x${layout.end.toString(16)}`;
    plan.pass(
      {
        plugin: NAME,
        stage: 'memory',
        what: `anonymous ${range}`,
        needs: ['mm:cleared'],
        provides: [vmaResource(layout.start), 'vmas'],
      },
      (program) => {
        const prot = firstProtection(layout, runs.length > 0);
        const kind = (layout.state & VMA_STATE.droppable) === 0 ? MAP.private : MAP.droppable;
        const flags = kind | MAP.anonymous | MAP.fixedNoReplace | (layout.flags & (MAP.growsDown | MAP.noReserve));
        program.call('mmap', [layout.start, layout.end - layout.start, prot, flags, -1, 0], {
          expect: layout.start,
          what: `map ${range}`,
        });
        context.fillPages(program, layout.start, layout.end);
        finishMapping(program, layout, prot);
      },
    );
  },
};

/** A name is for people who look at a process: it stops no restore. */
function namedWherePossible(layout: Layout, { log }: RestoreContext): Layout {
  if (layout.name === undefined || hasAnonymousNames()) return layout;
  const fields = { vma: layout.start.toString(16) };
  log.warn(fields, `the name ${layout.name} of a mapping is lost: the kernel has no CONFIG_ANON_VMA_NAME`);
  return { ...layout, name: undefined };
}

const MADV_GUARD_INSTALL = 102;

/** Guard regions (MADV_GUARD_INSTALL, Linux 6.13) are entries of their own, inside the mapping that they guard. */
function planGuard(entry: VmaEntry, plan: TaskPlan): void {
  const layout = layoutOf({ ...entry, prot: 0, flags: 0 }, NAME);
  const range = `0x${layout.start.toString(16)}-0x${layout.end.toString(16)}`;
  plan.pass(
    { plugin: NAME, stage: 'memory', what: `guard ${range}`, needs: ['vmas'], provides: ['guards'] },
    (program) => {
      program.call('madvise', [layout.start, layout.end - layout.start, MADV_GUARD_INSTALL], {
        what: `guard ${range}`,
        fail: (errno) =>
          new CrtsError({
            code: 'CRTS_GUARD',
            plugin: NAME,
            what: `guard region ${range} cannot be installed`,
            errno,
            hint: 'Guard regions need Linux 6.13.',
          }),
      });
    },
  );
}
