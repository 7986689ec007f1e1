import { readFileSync, writeFileSync } from 'node:fs';
import type { CoreEntry, CrtsThreadEntry, MmEntry } from '@crts/image-io';
import { getAffinity, ptraceGetSyscallDispatchMode } from '@crts/native-syscalls';
import {
  type CrtsError,
  encodeName,
  type FrozenTask,
  type FrozenThread,
  type ImageRecord,
  type Program,
  type TaskImages,
  type TaskPlan,
  type TaskStateHandler,
  type ThreadPlan,
} from '@crts/plugin-api';
import { badAttribute, schedulingPolicy, seccomp, syscallDispatch } from './errors';

/** include/uapi/linux/prctl.h */
const PR = {
  getDumpable: 3,
  setDumpable: 4,
  setName: 15,
  setTimerSlack: 29,
  getTimerSlack: 30,
  setChildSubreaper: 36,
  getChildSubreaper: 37,
  setThpDisable: 41,
  getThpDisable: 42,
  setMdwe: 65,
  getMdwe: 66,
} as const;
const MEMBARRIER_GET_REGISTRATIONS = 1 << 9;
const IOPRIO_WHO_PROCESS = 1;
const SCHED_RESET_ON_FORK = 0x4000_0000;
/** SCHED_OTHER, FIFO, RR, BATCH, IDLE: include/uapi/linux/sched.h. */
const POLICIES = new Set([0, 1, 2, 3, 5]);
/** TASK_ALIVE of the format. */
const TASK_ALIVE = 1;
const COMM_MAX = 15;
const UNSET_UID = 0xffff_ffff;

export const attributesHandler = {
  name: 'task-attrs',

  refuseThread(thread: FrozenThread): CrtsError | undefined {
    const { status, stat } = thread.facts;
    const mode = status.get('Seccomp') ?? '0';
    if (mode !== '0') return seccomp(thread.tid, mode);
    if (ptraceGetSyscallDispatchMode(thread.hostTid) !== 0) return syscallDispatch(thread.tid);
    return POLICIES.has(Number(stat.policy)) ? undefined : schedulingPolicy(thread.tid, stat.policy ?? '');
  },

  dump(task: FrozenTask, program: Program) {
    const personality = program.call('personality', [0xffff_ffff]);
    const dumpable = program.call('prctl', [PR.getDumpable]);
    const subreaper = program.out(4);
    program.call('prctl', [PR.getChildSubreaper, subreaper]);
    const thp = program.call('prctl', [PR.getThpDisable, 0, 0, 0, 0]);
    // Linux 6.3 and 6.6: older kernels have neither, and answer EINVAL.
    const mdwe = program.call('prctl', [PR.getMdwe, 0, 0, 0, 0], { expect: 'any' });
    const barriers = program.call('membarrier', [MEMBARRIER_GET_REGISTRATIONS, 0, 0], { expect: 'any' });
    return () => {
      const { stat, comm } = task.facts;
      const core = task.images.core as CoreEntry;
      const mm = task.images.mm as MmEntry;
      Object.assign(core.tc!, {
        task_state: TASK_ALIVE,
        exit_code: 0,
        personality: Number(personality.value & 0xffff_ffffn),
        flags: Number(stat.flags),
        comm,
        oom_score_adj: Number(task.readProc('oom_score_adj')),
        child_subreaper: subreaper.read().readInt32LE(0) !== 0,
      });
      const loginuid = readOptional(task, 'loginuid');
      if (loginuid !== undefined) core.tc!.loginuid = Number(loginuid) >>> 0;
      if (barriers.value > 0n) core.tc!.membarrier_registration_mask = Number(barriers.value);
      mm.dumpable = Number(dumpable.value);
      if (thp.value > 0n) mm.thp_disabled = true;
      // PR_THP_DISABLE_EXCEPT_ADVISED, since Linux 6.18: the format knows on and off.
      if (thp.value > 1n)
        task.log.warn(
          { pid: task.pid },
          'huge pages are off except where advised: after a restore they are off everywhere',
        );
      const own = ownEntry(core);
      if (mdwe.value > 0n) own.mdwe = Number(mdwe.value);
      const filter = readOptional(task, 'coredump_filter');
      if (filter !== undefined) own.coredump_filter = Number.parseInt(filter, 16);
    };
  },

  dumpThread(thread: FrozenThread, program: Program) {
    const slack = program.call('prctl', [PR.getTimerSlack]);
    const ioPriority = program.call('ioprio_get', [IOPRIO_WHO_PROCESS, 0]);
    const scheduler = program.call('sched_getscheduler', [0]);
    return () => {
      const { stat, comm } = thread.facts;
      const core = thread.core as CoreEntry;
      const policy = Number(stat.policy);
      Object.assign(core.thread_core!, {
        comm,
        sched_policy: policy,
        // A real-time policy has a priority, the others a nice value: man 7 sched.
        // The nice value of a real-time task waits for the day it is none; CRIU does not read it there.
        ...(policy === 1 || policy === 2 ? { sched_prio: Number(stat.rt_priority) } : {}),
        ...(policy === 1 || policy === 2 ? niceUnlessDefault(Number(stat.nice)) : { sched_nice: Number(stat.nice) }),
        // One cgroup set, the inventory's: cgroups come later.
        cg_set: 1,
      });
      const own = ownEntry(core);
      own.timer_slack_ns = slack.value;
      own.cpu_affinity = getAffinity(thread.hostTid);
      own.io_priority = Number(ioPriority.value);
      if ((Number(scheduler.value) & SCHED_RESET_ON_FORK) !== 0) own.sched_reset_on_fork = true;
    };
  },

  plan(images: TaskImages, plan: TaskPlan): void {
    const core = images.core as CoreEntry;
    const mm = images.mm as MmEntry;
    const { tc, thread_core: thread } = core;
    if (tc === undefined || thread === undefined) throw badAttribute('tc', 'tc or thread_core is missing');
    planFiles(core, plan);
    planEarly(core, plan);
    plan.pass({ plugin: 'task-attrs', stage: 'resume', what: 'dumpable, huge pages, barriers' }, (program) => {
      if (mm.thp_disabled === true) program.call('prctl', [PR.setThpDisable, 1, 0, 0, 0]);
      for (let bit = 0; bit < 31; bit++) {
        if (((tc.membarrier_registration_mask ?? 0) & (1 << bit)) !== 0) program.call('membarrier', [1 << bit, 0, 0]);
      }
      // Changing ids resets it: commit_creds(), kernel/cred.c. 2 (suid) cannot be set from outside the kernel; 0 is as strict.
      if (mm.dumpable !== undefined) program.call('prctl', [PR.setDumpable, mm.dumpable === 1 ? 1 : 0]);
      if (thread.crts?.mdwe !== undefined) program.call('prctl', [PR.setMdwe, thread.crts.mdwe, 0, 0, 0]);
    });
  },

  planThread(record: ImageRecord, plan: ThreadPlan): void {
    const core = record as CoreEntry;
    const thread = core.thread_core;
    if (thread === undefined) throw badAttribute('thread_core', 'missing');
    // Images of old versions have the name in tc alone.
    const comm = thread.comm ?? core.tc?.comm;
    if (comm === undefined) throw badAttribute('thread_core.comm', 'missing');
    if (encodeName(comm).length > COMM_MAX) throw badAttribute('thread_core.comm', `longer than ${COMM_MAX} bytes`);
    if (!POLICIES.has(thread.sched_policy ?? 0)) throw schedulingPolicy(plan.tid, String(thread.sched_policy));
    planScheduling(core, plan);
    plan.pass({ plugin: 'task-attrs', stage: 'resume', what: `name "${comm}"` }, (program) => {
      program.call('prctl', [PR.setName, program.cstring(comm)]);
    });
  },
} satisfies TaskStateHandler;

/** What CRIU has no field for. */
function ownEntry(core: CoreEntry): CrtsThreadEntry {
  core.thread_core!.crts ??= {};
  return core.thread_core!.crts;
}

/** Attributes that are files under /proc/PID. */
function planFiles(core: CoreEntry, plan: TaskPlan): void {
  const { oom_score_adj: oom, loginuid } = core.tc!;
  const filter = core.thread_core!.crts?.coredump_filter;
  const why = 'the files are under /proc, which the task may not see in its own mount tree';
  plan.hostStep(
    { plugin: 'task-attrs', stage: 'forking', what: 'oom_score_adj and coredump_filter', why },
    ({ hostPid }) => {
      if (oom !== undefined) writeDiffering(`/proc/${hostPid}/oom_score_adj`, String(oom));
      if (filter !== undefined)
        writeDiffering(
          `/proc/${hostPid}/coredump_filter`,
          `0x${filter.toString(16)}`,
          (text) => Number.parseInt(text, 16) === filter,
        );
    },
  );
  // Only a task itself may set its loginuid: proc_loginuid_write(), fs/proc/base.c.
  const own = ownLoginuid();
  // A kernel without audit has no loginuid, which is as good as unset.
  if (loginuid === undefined || loginuid === own || (own === undefined && loginuid === UNSET_UID)) return;
  plan.pass({ plugin: 'task-attrs', stage: 'resources', what: `loginuid ${loginuid}` }, (program) => {
    const text = program.bytes(Buffer.from(String(loginuid)));
    const fd = program.call('openat', [-100, program.cstring('/proc/self/loginuid'), 1, 0]);
    program.call('write', [fd, text, text.sizeBytes]);
    program.call('close', [fd]);
  });
}

function planEarly(core: CoreEntry, plan: TaskPlan): void {
  const { personality, child_subreaper: subreaper } = core.tc!;
  plan.pass(
    { plugin: 'task-attrs', stage: 'forking', what: `personality 0x${personality.toString(16)}` },
    (program) => {
      program.call('personality', [personality]);
      if (subreaper === true) program.call('prctl', [PR.setChildSubreaper, 1]);
    },
  );
}

function planScheduling(core: CoreEntry, plan: ThreadPlan): void {
  const thread = core.thread_core!;
  const own = thread.crts;
  plan.pass(
    { plugin: 'task-attrs', stage: 'credentials', what: 'scheduling', provides: ['rlimits', 'scheduling'] },
    (program) => {
      const policy = thread.sched_policy ?? 0;
      const parameter = Buffer.alloc(4);
      parameter.writeInt32LE(policy === 1 || policy === 2 ? (thread.sched_prio ?? 1) : 0);
      const flags = own?.sched_reset_on_fork === true ? SCHED_RESET_ON_FORK : 0;
      program.call('sched_setscheduler', [0, policy | flags, program.bytes(parameter)], {
        what: `scheduling policy ${policy}`,
      });
      program.call('setpriority', [0, 0, thread.sched_nice ?? 0], { what: `nice ${thread.sched_nice ?? 0}` });
      if (own?.io_priority !== undefined) program.call('ioprio_set', [IOPRIO_WHO_PROCESS, 0, own.io_priority]);
      if (own?.timer_slack_ns !== undefined) program.call('prctl', [PR.setTimerSlack, own.timer_slack_ns]);
      // CPUs of the mask that this machine lacks are left out by the kernel; a mask with none of them is EINVAL.
      if (own?.cpu_affinity !== undefined)
        program.call('sched_setaffinity', [0, own.cpu_affinity.length, program.bytes(own.cpu_affinity)], {
          expect: 'any',
        });
    },
  );
}

function niceUnlessDefault(nice: number) {
  return nice === 0 ? {} : { sched_nice: nice };
}

function writeDiffering(
  path: string,
  value: string,
  equal: (text: string) => boolean = (text) => text === value,
): void {
  if (!equal(readFileSync(path, 'utf8').trim())) writeFileSync(path, value);
}

function ownLoginuid(): number | undefined {
  try {
    return Number(readFileSync('/proc/self/loginuid', 'utf8'));
  } catch {
    return undefined;
  }
}

function readOptional(task: FrozenTask, file: string): string | undefined {
  try {
    return task.readProc(file).trim();
  } catch {
    // The kernel was built without it.
    return undefined;
  }
}
