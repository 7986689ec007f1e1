import type { CoreEntry, MmEntry } from '@crts/image-io';
import {
  type CrtsError,
  type FrozenTask,
  type ImageRecord,
  type RestoreContext,
  type TaskImages,
  type TaskPlan,
  type TaskStateHandler,
  type ThreadPlan,
  VMA_STATUS,
} from '@crts/plugin-api';
import { badVdso, hasUprobes, insideVdso, vdsoChanged } from './errors';
import { type KernelVdso, kernelVdso, misfit } from './kernel-vdso';
import { proxyOf, type VdsoProxy } from './proxy';

/** VSYSCALL_ADDR, arch/x86/include/uapi/asm/vsyscall.h. */
const VSYSCALL = 0xffff_ffff_ff60_0000n;
const PAGE = 4096n;
/** Tasks of a restore whose vdso is another kernel's. */
const replaced = new WeakMap<RestoreContext, VdsoProxy>();

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
      if (named('[uprobes]').length > 0 && task.options.allowUprobes !== true) return hasUprobes(task.pid);
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
      const proxy = proxyOf(images, context, kernel());
      if (proxy !== undefined) replaced.set(context, proxy);
    },

    // Functions of the old one begin with a jump now, and its data pages are gone.
    planThread(core: ImageRecord, { tid }: ThreadPlan, context: RestoreContext): void {
      const ip = (core as unknown as CoreEntry).thread_info?.gpregs?.ip;
      const proxy = replaced.get(context);
      if (proxy !== undefined && ip !== undefined && ip >= proxy.start && ip < proxy.end) throw insideVdso(tid);
    },
  } satisfies TaskStateHandler;
}
