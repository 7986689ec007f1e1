import type { CoreEntry } from '@crts/image-io';
import type { CrtsError, FrozenThread, SyscallDispatch, ThreadPlan } from '@crts/plugin-api';
import { badAttribute, syscallDispatch } from './errors';
import { ownEntry } from './own-entry';

/** SYSCALL_DISPATCH_FILTER_ALLOW, include/uapi/linux/prctl.h. */
const ALLOW = 0;
const USER_END = 0x7fff_ffff_f000n;

/** Read while the thread stands still: later its agent may run. */
const dispatches = new WeakMap<FrozenThread, SyscallDispatch>();

/**
 * A thread with syscall user dispatch (Wine) has a byte that says whether its calls are made or become signals. Where they are made,
 * so are the agent's. Dispatch could be switched off for the time of the dump, but an engine that is killed meanwhile
 * would leave it off.
 */
export function refuseDispatch(thread: FrozenThread): CrtsError | undefined {
  const dispatch = thread.syscallDispatch();
  if (dispatch === undefined) return undefined;
  dispatches.set(thread, dispatch);
  const { selector } = dispatch;
  return selector !== 0n && thread.task.readMemory(selector, 1)[0] === ALLOW ? undefined : syscallDispatch(thread.tid);
}

export function noteDispatch(thread: FrozenThread): void {
  const dispatch = dispatches.get(thread);
  if (dispatch !== undefined) ownEntry(thread.core as CoreEntry).syscall_dispatch = { ...dispatch };
}

/** The engine sets it when the agent is gone, whose calls it would dispatch. */
export function planDispatch(core: CoreEntry, plan: ThreadPlan): void {
  const entry = core.thread_core?.crts?.syscall_dispatch;
  if (entry === undefined) return;
  const { offset, length, selector } = entry;
  if (selector >= USER_END)
    throw badAttribute('thread_core.crts.syscall_dispatch.selector', `0x${selector.toString(16)}`);
  if (offset !== 0n && length === 0n) throw badAttribute('thread_core.crts.syscall_dispatch.length', '0');
  plan.finalThread({ syscallDispatch: { offset, length, selector } });
}
