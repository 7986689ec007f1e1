import type { MmEntry, VmaEntry } from '@crts/image-io';
import {
  finishMapping,
  type Layout,
  layoutOf,
  MAP,
  PROT,
  type Program,
  type RestoreContext,
  type TaskImages,
  type TaskPlan,
  VMA_STATUS,
  type VmaHandler,
  vmaEntry,
  vmaResource,
} from '@crts/plugin-api';
import { badVdso } from './errors';
import { type KernelVdso, kernelVdso } from './kernel-vdso';
import { codeFile, proxyOf, type VdsoProxy } from './proxy';

const NAME = 'mm-vdso';
/** include/uapi/asm/prctl.h; with CONFIG_CHECKPOINT_RESTORE. */
const ARCH_MAP_VDSO_64 = 0x2003;
const MADV_DONTDUMP = 16n;
const PAGE = 4096n;

const STATUS: Readonly<Record<string, number>> = {
  '[vdso]': VMA_STATUS.regular | VMA_STATUS.vdso | VMA_STATUS.anonPrivate,
  '[vvar]': VMA_STATUS.regular | VMA_STATUS.vvar | VMA_STATUS.anonPrivate,
  '[vsyscall]': VMA_STATUS.vsyscall | VMA_STATUS.anonPrivate,
  // The kernel makes it when a probe is met: xol_add_vma(), kernel/events/uprobes.c.
  '[uprobes]': VMA_STATUS.uprobes,
};

/** `kernel` is a parameter for tests. */
export function vdsoMapping(kernel: () => KernelVdso | undefined = kernelVdso): VmaHandler {
  return {
    name: NAME,

    match: (vma) => (STATUS[vma.name] === undefined ? 0 : 100),

    dump(vma) {
      const entry = vmaEntry(vma, { shmid: 0n, pgoff: 0n, flags: MAP.anonymous, status: STATUS[vma.name]! });
      // The code goes to the images, so that a restore can tell whether its kernel has the same.
      return { entry, pages: vma.name === '[vdso]' ? 'all' : 'none' };
    },

    owns: (entry) =>
      ((entry as VmaEntry).status & (VMA_STATUS.vdso | VMA_STATUS.vvar | VMA_STATUS.vsyscall | VMA_STATUS.uprobes)) !==
      0,

    plan(record, images: TaskImages, plan: TaskPlan, context: RestoreContext) {
      const entry = record as VmaEntry;
      // The vsyscall page is the same in every task and no mapping of its own: arch/x86/entry/vsyscall/vsyscall_64.c.
      if ((entry.status & (VMA_STATUS.vsyscall | VMA_STATUS.uprobes)) !== 0) return;
      const layout = layoutOf(entry, NAME);
      // Data pages come with the code. What is two kinds at once, vdsoState refuses.
      if ((entry.status & VMA_STATUS.vvar) !== 0) return;
      const proxy = proxyOf(images, context, kernel());
      if (proxy !== undefined) return planProxy(proxy, layout, plan, context);
      const vvars = (images.mm as MmEntry).vmas.filter((vma) => (vma.status & VMA_STATUS.vvar) !== 0);
      const start = layout.start - (kernel()?.dataBytes ?? 0n);
      plan.privateMapping(
        {
          plugin: NAME,
          what: `vdso at 0x${layout.start.toString(16)}`,
          needs: ['mm:cleared'],
          // Before all other mappings: the kernel takes the address as a wish, and keeps off a stack above it.
          provides: ['mm:cleared', vmaResource(layout.start), 'vmas'],
        },
        {
          start,
          end: layout.end,
          source: 'vdso',
          isOfProgram: true,
          // The kernel's own.
          hasPages: false,
          prot: PROT.read | PROT.exec,
          map: (program) => mapVdso(program, start, layout.end - start),
          finish: (program) => {
            finishMapping(program, layout, PROT.read | PROT.exec);
            for (const vvar of vvars) finishMapping(program, dataLayout(vvar), PROT.read);
          },
        },
      );
    },
  };
}

/**
 * The program goes on with the vdso that it knows, now memory of its own whose functions lead to that of this kernel, mapped
 * elsewhere. The old one's data pages are not there: nobody reads them any more.
 */
function planProxy({ own, code }: VdsoProxy, layout: Layout, plan: TaskPlan, { shared, log }: RestoreContext): void {
  log.info({ pid: plan.pid }, 'the vdso is that of another kernel: its functions are redirected');
  if (own !== undefined)
    plan.privateMapping(
      {
        plugin: NAME,
        what: `vdso of this kernel at 0x${own.start.toString(16)}`,
        needs: ['mm:cleared'],
        provides: ['mm:cleared', 'vmas'],
      },
      {
        start: own.start,
        end: own.start + own.bytes,
        source: 'vdso',
        isOfProgram: true,
        hasPages: false,
        prot: PROT.read | PROT.exec,
        map: (program) => mapVdso(program, own.start, own.bytes),
        finish: () => undefined,
      },
    );
  const { start, end } = layout;
  const prot = PROT.read | PROT.write;
  plan.privateMapping(
    {
      plugin: NAME,
      what: `redirected vdso at 0x${start.toString(16)}`,
      needs: ['mm:cleared'],
      provides: [vmaResource(start), 'vmas'],
    },
    {
      start,
      end,
      // Each task has its own: where this kernel's vdso is depends on its other mappings.
      source: undefined,
      hasPages: false,
      prot,
      map: (program) => {
        const flags = MAP.private | MAP.anonymous | MAP.fixedNoReplace;
        program.call('mmap', [start, end - start, prot, flags, -1, 0], { expect: start });
        const file = program.receiveFd(
          shared.lend(() => codeFile(code)),
          { what: 'take the redirected vdso' },
        );
        program.call('pread64', [file, start, end - start, 0], {
          expect: end - start,
          what: 'write the redirected vdso',
        });
        program.call('close', [file]);
      },
      finish: (program) => finishMapping(program, layout, prot),
    },
  );
}

/** The kernel maps the data pages with VM_DONTDUMP, so that the advice of the images is nothing to do. */
function dataLayout(vvar: VmaEntry): Layout {
  const layout = layoutOf(vvar, NAME);
  return { ...layout, madv: layout.madv & ~(1n << MADV_DONTDUMP) };
}

/**
 * Maps data and code in one go at the wanted address, if it is free; else the kernel takes another one and says
 * nothing: map_vdso(), arch/x86/entry/vdso/vma.c. So it is tried before. The call returns the size of the code, and
 * EEXIST when any part of a vdso is mapped already.
 */
function mapVdso(program: Program, start: bigint, length: bigint): void {
  const address = `0x${start.toString(16)}`;
  program.call('mmap', [start, length, 0, MAP.private | MAP.anonymous | MAP.fixedNoReplace, -1, 0], {
    expect: start,
    what: `try ${address} for the vdso`,
    fail: () => badVdso(`the vdso cannot lie at ${address}`),
  });
  program.call('munmap', [start, length]);
  program.call('arch_prctl', [ARCH_MAP_VDSO_64, start], { what: 'map the vdso' });
  // Nothing else can be there: the data page is mapped, and the address space was empty.
  program.call('mprotect', [start, PAGE, PROT.read], { fail: () => badVdso(`the vdso did not go to ${address}`) });
}
