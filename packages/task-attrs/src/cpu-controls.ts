import type { CoreEntry } from '@crts/image-io';
import type { FrozenThread, Program, ThreadPlan } from '@crts/plugin-api';
import { badAttribute } from './errors';
import { ownEntry } from './own-entry';
import { ownThread } from './own-thread';

/** include/uapi/linux/prctl.h */
const PR_GET_TSC = 25;
const PR_SET_TSC = 26;
const PR_MCE_KILL = 33;
const PR_MCE_KILL_GET = 34;
const PR_GET_SPECULATION_CTRL = 52;
const PR_SET_SPECULATION_CTRL = 53;
const PR_TSC_SIGSEGV = 2;
const PR_MCE_KILL_SET = 1;
const PR_MCE_KILL_DEFAULT = 2;
/** The thread may change it: the other bits say what it is. */
const PR_SPEC_PRCTL = 1;
const SPECULATION_STATES = new Set([2, 4, 8, 16]);
/** arch/x86/include/uapi/asm/prctl.h */
const ARCH_GET_CPUID = 0x1011;
const ARCH_SET_CPUID = 0x1012;
/** PR_SPEC_STORE_BYPASS, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_L1D_FLUSH. */
const CONTROLS = ['store_bypass', 'indirect_branch', 'l1d_flush'] as const;

/** Instructions that fault or do not speculate, and what a memory failure does: per thread. */
export function dumpCpuControls(program: Program): (thread: FrozenThread) => void {
  const speculation = CONTROLS.map((_, control) =>
    program.call('prctl', [PR_GET_SPECULATION_CTRL, control, 0, 0, 0], { expect: 'any' }),
  );
  const tsc = program.out(4);
  program.call('prctl', [PR_GET_TSC, tsc]);
  const cpuid = program.call('arch_prctl', [ARCH_GET_CPUID, 0], { expect: 'any' });
  const failure = program.call('prctl', [PR_MCE_KILL_GET, 0, 0, 0, 0]);
  return (thread) => {
    const own = ownEntry(thread.core as CoreEntry);
    CONTROLS.forEach((field, control) => {
      const value = Number(speculation[control]!.value);
      const isSettable = value > 0 && (value & PR_SPEC_PRCTL) !== 0;
      if (isSettable && value !== ownThread().speculation[control]) own[field] = value & ~PR_SPEC_PRCTL;
    });
    if (tsc.read().readInt32LE(0) === PR_TSC_SIGSEGV) own.tsc_faults = true;
    if (cpuid.value === 0n) own.cpuid_faults = true;
    if (failure.value !== BigInt(PR_MCE_KILL_DEFAULT)) own.memory_failure = Number(failure.value);
  };
}

export function planCpuControls(core: CoreEntry, plan: ThreadPlan): void {
  const own = core.thread_core?.crts;
  if (own === undefined) return;
  const speculation = CONTROLS.flatMap((field, control) => {
    const state = own[field];
    if (state === undefined) return [];
    if (!SPECULATION_STATES.has(state)) throw badAttribute(`thread_core.crts.${field}`, String(state));
    return [{ field, control, state }];
  });
  const { memory_failure: failure, tsc_faults: tsc, cpuid_faults: cpuid } = own;
  if (failure !== undefined && failure > PR_MCE_KILL_DEFAULT)
    throw badAttribute('thread_core.crts.memory_failure', String(failure));
  if (speculation.length === 0 && failure === undefined && tsc !== true && cpuid !== true) return;
  plan.pass({ plugin: 'task-attrs', stage: 'resume', what: 'CPU controls' }, (program) => {
    for (const { field, control, state } of speculation)
      program.call('prctl', [PR_SET_SPECULATION_CTRL, control, state, 0, 0], { what: `${field}: ${state}` });
    if (failure !== undefined) program.call('prctl', [PR_MCE_KILL, PR_MCE_KILL_SET, failure, 0, 0]);
    if (tsc === true) program.call('prctl', [PR_SET_TSC, PR_TSC_SIGSEGV], { what: 'reading the TSC faults' });
    if (cpuid === true) program.call('arch_prctl', [ARCH_SET_CPUID, 0], { what: 'cpuid faults' });
  });
}
