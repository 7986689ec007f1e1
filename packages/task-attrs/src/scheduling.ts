import type { CoreEntry, CrtsThreadEntry } from '@crts/image-io';
import { getAffinity, schedAttr } from '@crts/native-syscalls';
import { type FrozenThread, type Program, type RestoreContext, rememberLast, type ThreadPlan } from '@crts/plugin-api';
import { badAttribute, deadlineNotSet, noIoFlusher, schedulingPolicy } from './errors';
import { ownEntry } from './own-entry';
import { ownThread } from './own-thread';

const PR_SET_TIMERSLACK = 29;
const PR_GET_TIMERSLACK = 30;
const PR_SET_IO_FLUSHER = 57;
const IOPRIO_WHO_PROCESS = 1;
const SCHED_RESET_ON_FORK = 0x4000_0000;
/** Policies, include/uapi/linux/sched.h. */
const FIFO = 1;
const RR = 2;
const DEADLINE = 6;
/** SCHED_OTHER, FIFO, RR, BATCH, IDLE, DEADLINE. */
const POLICIES = new Set([0, FIFO, RR, 3, 5, DEADLINE]);
/** Policies whose sched_runtime is the length of a slice: fair_policy(), kernel/sched/sched.h. */
const SLICED = new Set([0, 3, 5]);
/** SCHED_FLAG_*. */
const FLAG = { resetOnFork: 1, reclaim: 2, dlOverrun: 4, keepAll: 0x18, utilMin: 0x20, utilMax: 0x40 } as const;
const DEADLINE_FLAGS = FLAG.reclaim | FLAG.dlOverrun;
/** PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE, set together by PR_SET_IO_FLUSHER: include/linux/sched.h. */
const IO_FLUSHER_FLAGS = 0x0018_0000;
/** SCHED_CAPACITY_SCALE: all of a CPU. */
const CAPACITY = 1024;

export function isCarried(policy: number): boolean {
  return POLICIES.has(policy);
}

function isRealTime(policy: number): boolean {
  return policy === FIFO || policy === RR;
}

export function dumpScheduling(program: Program): (thread: FrozenThread) => void {
  const slack = program.call('prctl', [PR_GET_TIMERSLACK]);
  const ioPriority = program.call('ioprio_get', [IOPRIO_WHO_PROCESS, 0]);
  const attributes = program.out(schedAttr.size);
  program.call('sched_getattr', [0, attributes, schedAttr.size, 0]);
  return (thread) => {
    const { stat } = thread.facts;
    const core = thread.core as CoreEntry;
    const policy = Number(stat.policy);
    const nice = Number(stat.nice);
    // A real-time policy has a priority, the others a nice value: man 7 sched.
    // The nice value of a real-time task waits for the day it is none; CRIU does not read it there.
    const waits = isRealTime(policy) || policy === DEADLINE;
    Object.assign(core.thread_core!, {
      sched_policy: policy,
      ...(isRealTime(policy) ? { sched_prio: Number(stat.rt_priority) } : {}),
      ...(waits && nice === 0 ? {} : { sched_nice: nice }),
    });
    const own = ownEntry(core);
    own.timer_slack_ns = slack.value;
    own.cpu_affinity = getAffinity(thread.hostTid);
    own.io_priority = Number(ioPriority.value);
    if ((Number(stat.flags) & IO_FLUSHER_FLAGS) === IO_FLUSHER_FLAGS) own.io_flusher = true;
    noteAttributes(own, policy, attributes.read());
  };
}

function noteAttributes(own: CrtsThreadEntry, policy: number, attributes: Buffer): void {
  const flags = Number(schedAttr.get(attributes, 'sched_flags'));
  if ((flags & FLAG.resetOnFork) !== 0) own.sched_reset_on_fork = true;
  const runtime = schedAttr.get(attributes, 'sched_runtime');
  if (policy === DEADLINE)
    own.deadline = {
      runtime,
      deadline: schedAttr.get(attributes, 'sched_deadline'),
      period: schedAttr.get(attributes, 'sched_period'),
      flags: flags & DEADLINE_FLAGS,
    };
  // Since Linux 6.12. The kernel does not say whether it was set: the usual length is the engine's own.
  if (SLICED.has(policy) && runtime !== 0n && runtime !== ownThread().sliceNs) own.sched_slice_ns = runtime;
  const utilMax = schedAttr.get(attributes, 'sched_util_max');
  const utilMin = schedAttr.get(attributes, 'sched_util_min');
  // Both are 0 on a kernel without clamps; a clamp to 0 .. 1024 is none. A real-time task is clamped from below by itself.
  if (utilMax !== 0 && (utilMax !== CAPACITY || (utilMin !== 0 && !isRealTime(policy)))) {
    own.util_min = utilMin;
    own.util_max = utilMax;
  }
}

export function planScheduling(core: CoreEntry, plan: ThreadPlan, context: RestoreContext): void {
  const thread = core.thread_core!;
  const own = thread.crts;
  const policy = thread.sched_policy ?? 0;
  if (!isCarried(policy)) throw schedulingPolicy(plan.tid, String(policy));
  if (policy === DEADLINE && own?.deadline === undefined) throw badAttribute('thread_core.crts.deadline', 'missing');
  const clamp = own?.util_max !== undefined;
  if (clamp && ownThread().utilMax === 0)
    context.log.warn({ tid: plan.tid }, 'utilisation clamps are lost: this kernel has none');
  const isClamped = clamp && ownThread().utilMax !== 0;
  plan.pass(HEAD, scheduling(policy, thread.sched_prio, thread.sched_nice, own, isClamped));
}

const HEAD = {
  plugin: 'task-attrs',
  stage: 'credentials',
  what: 'scheduling',
  provides: ['rlimits', 'scheduling'],
} as const;

const scheduling = rememberLast(
  (
    policy: number,
    priority: number | undefined,
    nice: number | undefined,
    own: CrtsThreadEntry | undefined,
    isClamped: boolean,
  ) =>
    (program: Program): void => {
      const flags = own?.sched_reset_on_fork === true ? SCHED_RESET_ON_FORK : 0;
      // Where a deadline comes, it comes last: under it the thread runs no longer than it was granted.
      const first = policy === DEADLINE ? 0 : policy;
      const parameter = Buffer.alloc(4);
      parameter.writeInt32LE(isRealTime(policy) ? (priority ?? 1) : 0);
      program.call('sched_setscheduler', [0, first | flags, program.bytes(parameter)], {
        what: `scheduling policy ${first}`,
      });
      program.call('setpriority', [0, 0, nice ?? 0], { what: `nice ${nice ?? 0}` });
      if (own?.io_priority !== undefined) program.call('ioprio_set', [IOPRIO_WHO_PROCESS, 0, own.io_priority]);
      if (own?.timer_slack_ns !== undefined) program.call('prctl', [PR_SET_TIMERSLACK, own.timer_slack_ns]);
      // CPUs of the mask that this machine lacks are left out by the kernel; a mask with none of them is EINVAL.
      if (own?.cpu_affinity !== undefined)
        program.call('sched_setaffinity', [0, own.cpu_affinity.length, program.bytes(own.cpu_affinity)], {
          expect: 'any',
        });
      if (own?.io_flusher === true) program.call('prctl', [PR_SET_IO_FLUSHER, 1, 0, 0, 0], { fail: noIoFlusher });
      if (own !== undefined) emitAttributes(program, policy, nice, own, isClamped);
    },
);

function emitAttributes(
  program: Program,
  policy: number,
  nice: number | undefined,
  own: CrtsThreadEntry,
  isClamped: boolean,
): void {
  const reset = own.sched_reset_on_fork === true ? FLAG.resetOnFork : 0;
  if (own.sched_slice_ns !== undefined && SLICED.has(policy)) {
    const attributes = {
      sched_policy: policy,
      sched_flags: BigInt(reset),
      sched_nice: nice ?? 0,
      sched_runtime: own.sched_slice_ns,
    };
    emitSetattr(program, attributes, `a slice of ${own.sched_slice_ns} ns`);
  }
  if (isClamped) {
    const attributes = {
      sched_flags: BigInt(FLAG.keepAll | FLAG.utilMin | FLAG.utilMax),
      sched_util_min: own.util_min ?? 0,
      sched_util_max: own.util_max!,
    };
    emitSetattr(program, attributes, `utilisation between ${own.util_min ?? 0} and ${own.util_max}`);
  }
  if (policy === DEADLINE) {
    const { runtime, deadline, period, flags = 0 } = own.deadline!;
    const attributes = {
      sched_policy: policy,
      sched_flags: BigInt((flags & DEADLINE_FLAGS) | reset),
      sched_runtime: runtime,
      sched_deadline: deadline,
      sched_period: period,
    };
    emitSetattr(program, attributes, `SCHED_DEADLINE: ${runtime} of ${period} ns`, deadlineNotSet);
  }
}

function emitSetattr(
  program: Program,
  attributes: Parameters<typeof schedAttr.encode>[0],
  what: string,
  fail?: (errno: string | undefined) => Error,
): void {
  const bytes = schedAttr.encode({ size: schedAttr.size, ...attributes });
  program.call('sched_setattr', [0, program.bytes(bytes), 0], { what, ...(fail === undefined ? {} : { fail }) });
}
