import type { MmEntry } from '@crts/image-io';
import {
  type CrtsError,
  type FrozenTask,
  type RestoreContext,
  type TaskImages,
  type TaskPlan,
  type TaskStateHandler,
  VMA_STATUS,
} from '@crts/plugin-api';
import { badVdso, vdsoChanged, vdsoDiffers } from './errors';
import { type KernelVdso, kernelVdso, misfit } from './kernel-vdso';

/** VSYSCALL_ADDR, arch/x86/include/uapi/asm/vsyscall.h. */
const VSYSCALL = 0xffff_ffff_ff60_0000n;
const PAGE = 4096n;

/**
 * What a single mapping cannot tell: whether data and code of the vdso are together the kernel's own. `kernel` is a
 * parameter for tests.
 */
export function vdsoState(kernel: () => KernelVdso | undefined = kernelVdso) {
  return {
    name: 'mm-vdso',

    // Before anything is touched: images whose vdso cannot be made again are of no use, and the task would be gone.
    refuse(task: FrozenTask): CrtsError | undefined {
      const named = (name: string) => task.facts.vmas.filter((vma) => vma.name === name);
      const how = misfit(kernel(), named('[vdso]'), named('[vvar]'), (start, length) => task.readMemory(start, length));
      return how === undefined ? undefined : vdsoChanged(task.pid, how);
    },

    dump: () => () => undefined,

    plan(images: TaskImages, _plan: TaskPlan, context: RestoreContext): void {
      const { vmas } = images.mm as MmEntry;
      const having = (status: number) => vmas.filter((vma) => (vma.status & status) !== 0);
      for (const { start, end } of having(VMA_STATUS.vsyscall))
        if (start !== VSYSCALL || end !== VSYSCALL + PAGE)
          throw badVdso(`the vsyscall page is at 0x${start.toString(16)}-0x${end.toString(16)}`);
      const vvars = having(VMA_STATUS.vvar);
      const vdsos = having(VMA_STATUS.vdso);
      const how = misfit(kernel(), vdsos, vvars, (start, length) => context.pages.read(start, length));
      if (how !== undefined) throw vdsoDiffers(how);
    },
  } satisfies TaskStateHandler;
}
