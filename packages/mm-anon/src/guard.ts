import type { VmaEntry } from '@crts/image-io';
import { layoutOf, type TaskPlan } from '@crts/plugin-api';
import { noGuard } from './errors';

const NAME = 'mm-anon';
const MADV_GUARD_INSTALL = 102;

/** Guard regions (MADV_GUARD_INSTALL, Linux 6.13) are entries of their own, inside the mapping that they guard. */
export function planGuard(entry: VmaEntry, plan: TaskPlan): void {
  const layout = layoutOf({ ...entry, prot: 0, flags: 0 }, NAME);
  const range = `0x${layout.start.toString(16)}-0x${layout.end.toString(16)}`;
  plan.pass(
    { plugin: NAME, stage: 'memory', what: `guard ${range}`, needs: ['vmas'], provides: ['guards'] },
    (program) => {
      program.call('madvise', [layout.start, layout.end - layout.start, MADV_GUARD_INSTALL], {
        what: `guard ${range}`,
        fail: (errno) => noGuard(range, errno),
      });
    },
  );
}
