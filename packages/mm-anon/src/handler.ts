import type { VmaEntry } from '@crts/image-io';
import {
  CrtsError,
  finishMapping,
  firstProtection,
  layoutOf,
  MAP,
  type RestoreContext,
  refusedFlag,
  type TaskImages,
  type TaskPlan,
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

  dump(vma, task) {
    if (vma.name.startsWith('[anon:'))
      task.log.warn({ pid: task.pid, vma: vma.start.toString(16) }, `the name ${vma.name} of a mapping is lost`);
    const status = VMA_STATUS.regular | VMA_STATUS.anonPrivate | (vma.name === '[heap]' ? VMA_STATUS.heap : 0);
    return { entry: vmaEntry(vma, { shmid: 0n, pgoff: 0n, flags: MAP.anonymous, status }), pages: 'private' };
  },

  owns: (entry) => {
    const { status } = entry as VmaEntry;
    const special = VMA_STATUS.vdso | VMA_STATUS.vvar | VMA_STATUS.vsyscall;
    return (status & VMA_STATUS.guard) !== 0 || ((status & VMA_STATUS.anonPrivate) !== 0 && (status & special) === 0);
  },

  plan(record, _images: TaskImages, plan: TaskPlan, context: RestoreContext) {
    const entry = record as VmaEntry;
    if ((entry.status & VMA_STATUS.guard) !== 0) return planGuard(entry, plan);
    const layout = layoutOf(entry, NAME);
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
        const flags =
          MAP.private | MAP.anonymous | MAP.fixedNoReplace | (layout.flags & (MAP.growsDown | MAP.noReserve));
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
