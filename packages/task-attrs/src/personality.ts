/** personality(2): of each thread its own; a new one has that of who makes it. */
import type { CoreEntry } from '@crts/image-io';
import type { FrozenThread, Program, ThreadPlan } from '@crts/plugin-api';
import { ownEntry } from './own-entry';

const ASK = 0xffff_ffff;
/** include/uapi/linux/personality.h */
const READ_IMPLIES_EXEC = 0x40_0000;

export function dumpPersonality(program: Program): (thread: FrozenThread) => void {
  const personality = program.call('personality', [ASK]);
  return (thread) => {
    if (thread.tid === thread.task.pid) return;
    const value = Number(personality.value & 0xffff_ffffn);
    // The format has the one of the main thread, which was asked before.
    const ofProcess = (thread.task.images.core as CoreEntry).tc!.personality;
    if (value !== ofProcess) ownEntry(thread.core as CoreEntry).personality = value;
  };
}

/** While mappings are made, none is to get a permission that it did not have: do_mmap() and do_mprotect_pkey() of mm/. */
export function early(personality: number): number {
  return (personality & ~READ_IMPLIES_EXEC) >>> 0;
}

/** Before the threads are made, which have it from the main one. */
const MAIN = { plugin: 'task-attrs', stage: 'sigchld', needs: ['vmas'], provides: ['sigactions'] } as const;
const OTHER = { plugin: 'task-attrs', stage: 'resume' } as const;

export function planPersonality({ tc, thread_core: thread }: CoreEntry, plan: ThreadPlan): void {
  const ofMain = tc?.personality ?? 0;
  const personality = plan.isMain ? (early(ofMain) === ofMain ? undefined : ofMain) : thread?.crts?.personality;
  if (personality === undefined) return;
  plan.pass({ ...(plan.isMain ? MAIN : OTHER), what: `personality 0x${personality.toString(16)}` }, (program) => {
    program.call('personality', [personality]);
  });
}
