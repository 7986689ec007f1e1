import type { MmEntry, VmaEntry } from '@crts/image-io';
import {
  layoutOf,
  MAP,
  type RestoreContext,
  type TaskImages,
  type TaskPlan,
  VMA_STATUS,
  type VmaHandler,
  vmaEntry,
  vmaResource,
} from '@crts/plugin-api';
import { vdsoDiffers } from './errors';
import { kernelVdso } from './kernel-vdso';

const NAME = 'mm-vdso';
/** include/uapi/asm/prctl.h; with CONFIG_CHECKPOINT_RESTORE. */
const ARCH_MAP_VDSO_64 = 0x2003;

const STATUS: Readonly<Record<string, number>> = {
  '[vdso]': VMA_STATUS.regular | VMA_STATUS.vdso | VMA_STATUS.anonPrivate,
  '[vvar]': VMA_STATUS.regular | VMA_STATUS.vvar | VMA_STATUS.anonPrivate,
  '[vsyscall]': VMA_STATUS.vsyscall | VMA_STATUS.anonPrivate,
};

export const vdsoHandler: VmaHandler = {
  name: NAME,

  match: (vma) => (STATUS[vma.name] === undefined ? 0 : 100),

  dump(vma) {
    const entry = vmaEntry(vma, { shmid: 0n, pgoff: 0n, flags: MAP.anonymous, status: STATUS[vma.name]! });
    // The code goes to the images, so that a restore can tell whether its kernel has the same.
    return { entry, pages: vma.name === '[vdso]' ? 'all' : 'none' };
  },

  owns: (entry) => ((entry as VmaEntry).status & (VMA_STATUS.vdso | VMA_STATUS.vvar | VMA_STATUS.vsyscall)) !== 0,

  plan(record, images: TaskImages, plan: TaskPlan, context: RestoreContext) {
    const entry = record as VmaEntry;
    // The vsyscall page is the same in every task and no mapping of its own: arch/x86/entry/vsyscall/vsyscall_64.c.
    if ((entry.status & VMA_STATUS.vsyscall) !== 0) return;
    if ((entry.status & VMA_STATUS.vvar) !== 0) return;
    const layout = layoutOf(entry, NAME);
    const data = checkedLayout(images.mm as MmEntry, entry, context);
    plan.pass(
      {
        plugin: NAME,
        stage: 'memory',
        what: `vdso at 0x${layout.start.toString(16)}`,
        needs: ['mm:cleared'],
        provides: [vmaResource(layout.start), 'vmas'],
      },
      (program) => {
        // Maps data and code in one go at exactly this address when it is free, and only where no vdso is mapped yet:
        // map_vdso_once(), arch/x86/entry/vdso/vma.c. It returns the size of the code.
        program.call('arch_prctl', [ARCH_MAP_VDSO_64, data], { what: 'map the vdso' });
      },
    );
  },
};

/** Start of the data pages; the images' vdso must be the kernel's, in layout and code. */
function checkedLayout(mm: MmEntry, vdso: VmaEntry, context: RestoreContext): bigint {
  const kernel = kernelVdso();
  if (kernel === undefined) throw vdsoDiffers('exists, while this kernel has none');
  if (vdso.end - vdso.start !== BigInt(kernel.code.length)) throw vdsoDiffers('is of another size');
  const vvars = mm.vmas.filter((vma) => (vma.status & VMA_STATUS.vvar) !== 0);
  const start = vvars.reduce((low, vma) => (vma.start < low ? vma.start : low), vdso.start);
  const bytes = vvars.reduce((sum, vma) => sum + (vma.end - vma.start), 0n);
  if (bytes !== kernel.dataBytes || vdso.start - start !== bytes) throw vdsoDiffers('has another layout of data pages');
  const code = context.pages.read(vdso.start, kernel.code.length);
  if (code === undefined || !code.equals(kernel.code)) throw vdsoDiffers('has other code');
  return start;
}
