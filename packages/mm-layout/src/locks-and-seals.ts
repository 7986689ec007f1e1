import type { MmEntry } from '@crts/image-io';
import {
  type FrozenTask,
  type Program,
  type RestoreContext,
  type TaskImages,
  type TaskPlan,
  type TaskStateHandler,
  VMA_STATE,
} from '@crts/plugin-api';
import { badLayout, notSealed } from './errors';

const NAME = 'mm-layout';
/** man 2 mlockall. */
const MCL_FUTURE = 2;
const MCL_ONFAULT = 4;
const PAGE = 4096;
const ANONYMOUS = 0x22;
const PROT_READ = 1;

/**
 * What holds for memory that is mapped later, mlockall(MCL_FUTURE), and what makes mappings unchangeable, mseal(2). Both
 * come when all mappings are there.
 */
export const locksAndSeals: TaskStateHandler = {
  name: NAME,

  dump(task: FrozenTask, program: Program) {
    // The kernel tells it nowhere. But new memory counts as locked then, and is there at once unless "on fault".
    const before = lockedBytes(task.facts.status.get('VmLck') ?? '');
    const resident = program.out(1);
    const page = program.call('mmap', [0, PAGE, PROT_READ, ANONYMOUS, -1, 0], { what: 'map a page' });
    program.call('mincore', [page, PAGE, resident]);
    program.call('munmap', [page, PAGE]);
    return () => {
      // The agent was mapped after the freeze.
      const after = lockedBytes(/^VmLck:(.*)$/m.exec(task.readProc('status'))?.[1] ?? '');
      if (after > before)
        (task.images.mm as MmEntry).crts_lock_future =
          (resident.read()[0]! & 1) === 1 ? MCL_FUTURE : MCL_FUTURE | MCL_ONFAULT;
    };
  },

  plan(images: TaskImages, plan: TaskPlan, _context: RestoreContext): void {
    const { crts_lock_future: future = 0, vmas } = images.mm as MmEntry;
    if (![0, MCL_FUTURE, MCL_FUTURE | MCL_ONFAULT].includes(future))
      throw badLayout(plan.pid, `crts_lock_future 0x${future.toString(16)}`, 'failed');
    // Its own handler has validated each mapping.
    const sealed = vmas.filter((vma) => ((vma.crts_state ?? 0) & VMA_STATE.sealed) !== 0);
    if (sealed.length > 0)
      plan.pass({ plugin: NAME, stage: 'sigchld', what: 'seal mappings' }, (program) => {
        for (const { start, end } of sealed)
          program.call('mseal', [start, end - start, 0], {
            what: `seal 0x${start.toString(16)}-0x${end.toString(16)}`,
            fail: (errno) => notSealed(plan.pid, start, errno),
          });
      });
    if (future !== 0)
      plan.pass({ plugin: NAME, stage: 'sigchld', what: 'lock what is mapped later' }, (program) => {
        program.call('mlockall', [future]);
      });
  },
};

/** `1234 kB`. */
function lockedBytes(text: string): number {
  return Number.parseInt(text.trim(), 10) || 0;
}
