import { writeFileSync } from 'node:fs';
import type { CoreEntry, MmEntry } from '@crts/image-io';
import { rawSyscall } from '@crts/native-syscalls';
import {
  type CrtsError,
  encodeName,
  type FrozenTask,
  type FrozenThread,
  type ImageRecord,
  type Program,
  type RestoreContext,
  rememberLast,
  type TaskImages,
  type TaskPlan,
  type TaskStateHandler,
  type ThreadPlan,
} from '@crts/plugin-api';
import { dumpCpuControls, planCpuControls } from './cpu-controls';
import { noteDispatch, planDispatch, refuseDispatch } from './dispatch';
import { badAttribute, componentNotAllowed, coreCookie, schedulingPolicy } from './errors';
import { askForLandlock, callWitness } from './landlock';
import { dumpMemoryPolicy, planMemoryPolicy } from './memory-policy';
import { type OwnAttributes, ownAttributes } from './own-attributes';
import { ownEntry } from './own-entry';
import { dumpPersonality, early, planPersonality } from './personality';
import { dumpScheduling, isCarried, planScheduling } from './scheduling';

/** include/uapi/linux/prctl.h */
const PR = {
  getDumpable: 3,
  setDumpable: 4,
  setName: 15,
  setChildSubreaper: 36,
  getChildSubreaper: 37,
  setThpDisable: 41,
  getThpDisable: 42,
  setMdwe: 65,
  getMdwe: 66,
  setMemoryMerge: 67,
  getMemoryMerge: 68,
} as const;
const MEMBARRIER_GET_REGISTRATIONS = 1 << 9;
/** PR_THP_DISABLE_EXCEPT_ADVISED */
const THP_EXCEPT_ADVISED = 2;
const PR_SCHED_CORE = 62;
/** arch/x86/include/uapi/asm/prctl.h. AMX tiles are allowed to processes that ask. */
const ARCH_GET_XCOMP_PERM = 0x1022;
const ARCH_REQ_XCOMP_PERM = 0x1023;
/** Of the format. */
const TASK_ALIVE = 1;
const TASK_STOPPED = 3;
const COMM_MAX = 15;
const UNSET_UID = 0xffff_ffff;

export const attributesHandler = {
  name: 'task-attrs',

  refuseThread(thread: FrozenThread): CrtsError | undefined {
    const { stat } = thread.facts;
    if (!isCarried(Number(stat.policy))) return schedulingPolicy(thread.tid, stat.policy ?? '');
    callWitness(thread);
    return hasCoreCookie(thread.hostTid) ? coreCookie(thread.tid) : refuseDispatch(thread);
  },

  dump(task: FrozenTask, program: Program) {
    const personality = program.call('personality', [0xffff_ffff]);
    const dumpable = program.call('prctl', [PR.getDumpable]);
    const subreaper = program.out(4);
    program.call('prctl', [PR.getChildSubreaper, subreaper]);
    const thp = program.call('prctl', [PR.getThpDisable, 0, 0, 0, 0]);
    // Linux 6.3 and 6.6: older kernels have neither, and answer EINVAL.
    const mdwe = program.call('prctl', [PR.getMdwe, 0, 0, 0, 0], { expect: 'any' });
    // A kernel without KSM: EINVAL.
    const merge = program.call('prctl', [PR.getMemoryMerge, 0, 0, 0, 0], { expect: 'any' });
    // Since Linux 5.16.
    const components = program.out(8);
    program.call('arch_prctl', [ARCH_GET_XCOMP_PERM, components], { expect: 'any' });
    const barriers = program.call('membarrier', [MEMBARRIER_GET_REGISTRATIONS, 0, 0], { expect: 'any' });
    return () => {
      const { stat, comm } = task.facts;
      const core = task.images.core as CoreEntry;
      const mm = task.images.mm as MmEntry;
      Object.assign(core.tc!, {
        task_state: task.stopSignal === undefined ? TASK_ALIVE : TASK_STOPPED,
        exit_code: 0,
        personality: Number(personality.value & 0xffff_ffffn),
        flags: Number(stat.flags),
        comm,
        oom_score_adj: Number(task.readProc('oom_score_adj')),
        child_subreaper: subreaper.read().readInt32LE(0) !== 0,
      });
      if (task.stopSignal !== undefined) core.tc!.stop_signo = task.stopSignal;
      const loginuid = readOptional(task, 'loginuid');
      if (loginuid !== undefined) core.tc!.loginuid = Number(loginuid) >>> 0;
      if (barriers.value > 0n) core.tc!.membarrier_registration_mask = Number(barriers.value);
      mm.dumpable = Number(dumpable.value);
      if (thp.value > 0n) mm.thp_disabled = true;
      const own = ownEntry(core);
      // Since Linux 6.18: the format knows on and off.
      if ((thp.value & BigInt(THP_EXCEPT_ADVISED)) !== 0n) own.thp_except_advised = true;
      if (merge.value > 0n) own.memory_merge = true;
      const permission = components.read().readBigUInt64LE(0) & ~ownComponents();
      if (permission !== 0n) own.xcomp_permission = permission;
      const autogroup = autogroupNice(task);
      if (autogroup !== 0) own.autogroup_nice = autogroup;
      if (mdwe.value > 0n) own.mdwe = Number(mdwe.value);
      const filter = readOptional(task, 'coredump_filter');
      if (filter !== undefined) own.coredump_filter = Number.parseInt(filter, 16);
    };
  },

  dumpThread(program: Program) {
    const readers = [askForLandlock, dumpPersonality, dumpScheduling, dumpMemoryPolicy, dumpCpuControls].map((dump) =>
      dump(program),
    );
    return (thread: FrozenThread) => {
      const core = (thread.core as CoreEntry).thread_core!;
      core.comm = thread.facts.comm;
      for (const read of readers) read(thread);
      noteDispatch(thread);
    };
  },

  plan(images: TaskImages, plan: TaskPlan, context: RestoreContext): void {
    const core = images.core as CoreEntry;
    const mm = images.mm as MmEntry;
    const { tc, thread_core: thread } = core;
    if (tc === undefined || thread === undefined) throw badAttribute('tc', 'tc or thread_core is missing');
    planFiles(core, plan, ownAttributes(context.options));
    planEarly(core, plan);
    // Here already, so that its memory comes without huge pages; a lazy restore sets it for itself, and takes it back.
    if (mm.thp_disabled === true)
      plan.pass({ plugin: 'task-attrs', stage: 'resources', what: 'no huge pages' }, (program) => {
        program.call('prctl', [PR.setThpDisable, 1, 0, 0, 0]);
      });
    const permission = thread.crts?.xcomp_permission ?? 0n;
    plan.pass({ plugin: 'task-attrs', stage: 'resume', what: 'dumpable, huge pages, barriers' }, (program) => {
      for (let component = 0; permission !== 0n && component < 63; component++)
        if ((permission & (1n << BigInt(component))) !== 0n)
          program.call('arch_prctl', [ARCH_REQ_XCOMP_PERM, component], {
            what: `allow component ${component} of the extended state`,
            fail: (errno) => componentNotAllowed(component, errno),
          });
      if (mm.thp_disabled === true) program.call('prctl', [PR.setThpDisable, 1, 0, 0, 0]);
      // A kernel that does not know it leaves them off everywhere, which is slower only.
      if (mm.thp_disabled === true && thread.crts?.thp_except_advised === true)
        program.call('prctl', [PR.setThpDisable, 1, THP_EXCEPT_ADVISED, 0, 0], { expect: 'any' });
      if (thread.crts?.memory_merge === true) program.call('prctl', [PR.setMemoryMerge, 1, 0, 0, 0], { expect: 'any' });
      for (let bit = 0; bit < 31; bit++) {
        if (((tc.membarrier_registration_mask ?? 0) & (1 << bit)) !== 0) program.call('membarrier', [1 << bit, 0, 0]);
      }
      // Changing ids resets it: commit_creds(), kernel/cred.c. 2 (suid) cannot be set from outside the kernel; 0 is as strict.
      if (mm.dumpable !== undefined) program.call('prctl', [PR.setDumpable, mm.dumpable === 1 ? 1 : 0]);
      if (thread.crts?.mdwe !== undefined) program.call('prctl', [PR.setMdwe, thread.crts.mdwe, 0, 0, 0]);
    });
  },

  planThread(record: ImageRecord, plan: ThreadPlan, context: RestoreContext): void {
    const core = record as CoreEntry;
    const thread = core.thread_core;
    if (thread === undefined) throw badAttribute('thread_core', 'missing');
    // Images of old versions have the name in tc alone.
    const comm = thread.comm ?? core.tc?.comm;
    if (comm === undefined) throw badAttribute('thread_core.comm', 'missing');
    if (encodeName(comm).length > COMM_MAX) throw badAttribute('thread_core.comm', `longer than ${COMM_MAX} bytes`);
    planScheduling(core, plan, context);
    planMemoryPolicy(core, plan, context);
    planCpuControls(core, plan);
    planDispatch(core, plan);
    planPersonality(core, plan);
    const { head, emit } = naming(comm);
    plan.pass(head, emit);
  },
} satisfies TaskStateHandler;

const naming = rememberLast((comm: string) => ({
  head: { plugin: 'task-attrs', stage: 'resume', what: `name "${comm}"` } as const,
  emit: (program: Program) => void program.call('prctl', [PR.setName, program.cstring(comm)]),
}));

/** Whether the thread has a cookie of core scheduling. EINVAL or ENODEV: the kernel or the CPU has none. */
function hasCoreCookie(tid: number): boolean {
  cookie[0] = 0n;
  const result = rawSyscall('prctl', PR_SCHED_CORE, 0, tid, 0, cookie);
  return result === 0 && cookie[0] !== 0n;
}

const cookie = new BigUint64Array(1);

/** Components of the extended state that any process may use. */
function ownComponents(): bigint {
  const own = new BigUint64Array(1);
  rawSyscall('arch_prctl', ARCH_GET_XCOMP_PERM, own);
  return own[0]!;
}

/** Of the session, whose leader is asked: man 7 sched, "The autogroup feature". */
function autogroupNice(task: FrozenTask): number {
  if (task.facts.stat.session !== String(task.hostPid)) return 0;
  return Number(/ nice (-?\d+)$/.exec(readOptional(task, 'autogroup') ?? '')?.[1] ?? 0);
}

/** Attributes that are files under /proc/PID. */
function planFiles(core: CoreEntry, plan: TaskPlan, own: OwnAttributes): void {
  const { oom_score_adj: oom, loginuid } = core.tc!;
  const { coredump_filter: filter, autogroup_nice: autogroup } = core.thread_core!.crts ?? {};
  const why = 'the files are under /proc, which the task may not see in its own mount tree';
  if (oom !== undefined && oom !== own.oomScoreAdj)
    plan.hostStep({ plugin: 'task-attrs', stage: 'forking', what: `oom_score_adj ${oom}`, why }, ({ hostPid }) =>
      writeFileSync(`/proc/${hostPid}/oom_score_adj`, String(oom)),
    );
  if (filter !== undefined && filter !== own.coredumpFilter) {
    const text = `0x${filter.toString(16)}`;
    plan.hostStep({ plugin: 'task-attrs', stage: 'forking', what: `coredump_filter ${text}`, why }, ({ hostPid }) =>
      writeFileSync(`/proc/${hostPid}/coredump_filter`, text),
    );
  }
  if (autogroup !== undefined) {
    if (autogroup < -20 || autogroup > 19) throw badAttribute('thread_core.crts.autogroup_nice', String(autogroup));
    // The session is there when the forking is over.
    plan.hostStep(
      { plugin: 'task-attrs', stage: 'resources', what: `nice ${autogroup} of the session`, why },
      ({ hostPid }) => writeFileSync(`/proc/${hostPid}/autogroup`, String(autogroup)),
    );
  }
  // Only a task itself may set its loginuid: proc_loginuid_write(), fs/proc/base.c.
  // A kernel without audit has no loginuid, which is as good as unset.
  if (loginuid === undefined || loginuid === (own.loginuid ?? UNSET_UID)) return;
  plan.pass({ plugin: 'task-attrs', stage: 'resources', what: `loginuid ${loginuid}` }, (program) => {
    const text = program.bytes(Buffer.from(String(loginuid)));
    const fd = program.call('openat', [-100, program.cstring('/proc/self/loginuid'), 1, 0]);
    program.call('write', [fd, text, text.sizeBytes]);
    program.call('close', [fd]);
  });
}

function planEarly(core: CoreEntry, plan: TaskPlan): void {
  const { child_subreaper: subreaper } = core.tc!;
  const personality = early(core.tc!.personality);
  plan.pass(
    { plugin: 'task-attrs', stage: 'forking', what: `personality 0x${personality.toString(16)}` },
    (program) => {
      program.call('personality', [personality]);
      if (subreaper === true) program.call('prctl', [PR.setChildSubreaper, 1]);
    },
  );
}

function readOptional(task: FrozenTask, file: string): string | undefined {
  try {
    return task.readProc(file).trim();
  } catch {
    // The kernel was built without it.
    return undefined;
  }
}
