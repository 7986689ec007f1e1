import type { MmEntry, VmaEntry } from '@crts/image-io';
import { xstateComponents } from '@crts/native-syscalls';
import {
  type FrozenTask,
  PROT,
  type Program,
  type RestoreContext,
  type Result,
  type TaskImages,
  type TaskPlan,
  type TaskStateHandler,
  VMA_STATUS,
} from '@crts/plugin-api';
import { badLayout, noProtectionKeys } from './errors';

const NAME = 'mm-layout';
/** Keys of x86 beside key 0, which is always there: arch_max_pkey(), arch/x86/include/asm/pkeys.h. */
const KEYS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const KEY_MASK = 0xffff;
const PAGE = 4096n;
/** Where no task has a mapping: in the kernel's half. */
const NOWHERE = 0xffff_ffff_ffff_e000n;
const ENOMEM = -12n;
/** XFEATURE_PKRU: the extended state that the CPU has when the kernel uses protection keys. */
const PKRU = 9;

/**
 * Memory protection keys (man 7 pkeys): which are allocated. Those of the mappings are with the mappings, the rights are in
 * PKRU with the registers. `hasKeys` is a parameter for tests.
 */
export function protectionKeys(hasKeys = () => xstateComponents().has(PKRU)): TaskStateHandler {
  return {
    name: NAME,

    dump(task: FrozenTask, program: Program) {
      const { vmas } = task.facts;
      if (vmas.every((vma) => vma.protectionKey === undefined)) return () => undefined;
      // Whether the key may be used is asked before whether there is a mapping: do_mprotect_pkey(), mm/mprotect.c.
      const usable = KEYS.map((key) => program.call('pkey_mprotect', [NOWHERE, PAGE, 0, key], { expect: 'any' }));
      const suspects = vmas.filter((vma) => vma.exec && !vma.read && !vma.write).map((vma) => vma.protectionKey ?? 0);
      const free = suspects.some((key) => key !== 0) ? emitFreeKeys(program) : [];
      return () => {
        const mm = task.images.mm as MmEntry;
        const keys = KEYS.filter((_, index) => usable[index]!.value === ENOMEM);
        const mask = keys.reduce((bits, key) => bits | (1 << key), 0);
        if (mask !== 0) mm.crts_pkeys = mask;
        const got = free.map((result) => result.value);
        const reserved = suspects.find((key) => key !== 0 && !keys.includes(key) && !got.includes(BigInt(key)));
        if (reserved !== undefined) mm.crts_execute_only_pkey = reserved;
      };
    },

    plan(images: TaskImages, plan: TaskPlan, _context: RestoreContext): void {
      const { crts_pkeys: allocated = 0, crts_execute_only_pkey: reserved, vmas } = images.mm as MmEntry;
      const bad = (what: string) => badLayout(plan.pid, what, 'failed');
      if ((allocated & ~KEY_MASK) !== 0 || (allocated & 1) !== 0)
        throw bad(`crts_pkeys 0x${allocated.toString(16)} are no keys`);
      const used = vmas.map((vma) => vma.crts_pkey ?? 0).filter((key) => key !== 0);
      const top = Math.max(0, ...KEYS.filter((key) => (allocated & (1 << key)) !== 0 || used.includes(key)));
      const executeOnly = reserved === undefined ? undefined : vmas.find((vma) => isExecuteOnly(vma, reserved));
      if (reserved !== undefined && (executeOnly === undefined || (allocated & (1 << reserved)) !== 0))
        throw bad(`crts_execute_only_pkey ${reserved} is the key of something else`);
      if (top === 0) return;
      if (!hasKeys()) throw noProtectionKeys(plan.pid);
      plan.pass(
        {
          plugin: NAME,
          stage: 'memory',
          what: `protection keys up to ${top}`,
          // Before all mappings that want one.
          provides: ['mm:cleared'],
        },
        (program) => {
          // The kernel gives the lowest that is free: mm_pkey_alloc(), arch/x86/include/asm/pkeys.h.
          for (let key = 1; key <= top; key++) program.call('pkey_alloc', [0, 0], { expect: key });
        },
      );
      plan.pass(
        { plugin: NAME, stage: 'memory', what: 'give back unused protection keys', needs: ['vmas'] },
        (program) => {
          if (executeOnly !== undefined) {
            // Now the lowest that is free, it is what the kernel reserves: __execute_only_pkey(), arch/x86/mm/pkeys.c.
            program.call('pkey_free', [reserved!]);
            program.call('mprotect', [executeOnly.start, executeOnly.end - executeOnly.start, PROT.exec], {
              what: `reserve key ${reserved} for execute-only memory`,
            });
          }
          for (let key = 1; key <= top; key++)
            if ((allocated & (1 << key)) === 0 && key !== reserved) program.call('pkey_free', [key]);
        },
      );
    },
  };
}

/**
 * The kernel tells nowhere which key it reserved for execute-only memory; like a key that was freed while mappings have it,
 * nobody may use it. But it is not given out again: all others are taken for a moment, one of which may be that key.
 */
function emitFreeKeys(program: Program): Result[] {
  const taken = KEYS.map(() => program.call('pkey_alloc', [0, 0], { expect: 'any' }));
  for (const key of taken) program.call('pkey_free', [key], { expect: 'any' });
  return taken;
}

function isExecuteOnly(vma: VmaEntry, key: number): boolean {
  return vma.prot === PROT.exec && vma.crts_pkey === key && (vma.status & VMA_STATUS.guard) === 0;
}
