import type { CoreEntry } from '@crts/image-io';
import {
  CrtsError,
  type FrozenThread,
  type ImageRecord,
  type Program,
  type TaskStateHandler,
  type ThreadPlan,
} from '@crts/plugin-api';

const PR_GET_TID_ADDRESS = 40;
/** Addresses of user space end here: TASK_SIZE_MAX. */
const USER_END = 0x7fff_ffff_f000n;

export const threadAreaHandler = {
  name: 'task-thread-area',

  dumpThread(program: Program) {
    // Only for the caller itself, and only with CONFIG_CHECKPOINT_RESTORE: prctl_get_tid_address(), kernel/sys.c.
    const tidAddress = program.out(8);
    program.call('prctl', [PR_GET_TID_ADDRESS, tidAddress]);
    const head = program.out(8);
    const length = program.out(8);
    program.call('get_robust_list', [0, head, length]);
    return (thread: FrozenThread) => {
      const core = thread.core as CoreEntry;
      core.thread_info!.clear_tid_addr = tidAddress.read().readBigUInt64LE(0);
      core.thread_core!.futex_rla = head.read().readBigUInt64LE(0);
      core.thread_core!.futex_rla_len = Number(length.read().readBigUInt64LE(0));
      const { rseq } = thread.state;
      if (rseq !== undefined) {
        core.thread_core!.rseq_entry = {
          rseq_abi_pointer: rseq.pointer,
          rseq_abi_size: rseq.size,
          signature: rseq.signature,
        };
      }
    };
  },

  planThread(record: ImageRecord, plan: ThreadPlan): void {
    const core = record as CoreEntry;
    const tidAddress = address(core.thread_info?.clear_tid_addr ?? 0n, 'thread_info.clear_tid_addr');
    const robust = address(core.thread_core?.futex_rla ?? 0n, 'thread_core.futex_rla');
    const robustLength = core.thread_core?.futex_rla_len ?? 0;
    const rseq = core.thread_core?.rseq_entry;
    if (rseq !== undefined) address(rseq.rseq_abi_pointer, 'thread_core.rseq_entry.rseq_abi_pointer');
    plan.pass(HEAD, (program) => {
      program.call('set_tid_address', [tidAddress]);
      // A list that was never set cannot be set with length 0 again, and needs not.
      if (robust !== 0n) program.call('set_robust_list', [robust, robustLength]);
      if (rseq !== undefined && rseq.rseq_abi_pointer !== 0n) {
        program.call('rseq', [rseq.rseq_abi_pointer, rseq.rseq_abi_size, 0, rseq.signature]);
      }
    });
  },
} satisfies TaskStateHandler;

const HEAD = { plugin: 'task-thread-area', stage: 'resume', what: 'tid address, robust list, rseq' } as const;

function address(value: bigint, field: string): bigint {
  if (value < USER_END) return value;
  throw new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: 'task-thread-area',
    what: `core_entry.${field}: 0x${value.toString(16)} is no user address`,
  });
}
