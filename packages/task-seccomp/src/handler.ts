import type { CoreEntry, SeccompEntry } from '@crts/image-io';
import { ptraceSeccompFilters, SyscallError, sockFprog } from '@crts/native-syscalls';
import type {
  CrtsError,
  FrozenTask,
  FrozenThread,
  ImageRecord,
  Program,
  RestoreContext,
  TaskStateHandler,
  ThreadPlan,
} from '@crts/plugin-api';
import { asksSupervisor, INSTRUCTION_BYTES } from './bpf';
import { type Chain, chainAt, commonStart, FilterImage, FLAG, sameChain } from './chain';
import { badFilters, notInstalled, notReadable, supervised, unknownMode } from './errors';

/** SECCOMP_MODE_*, include/uapi/linux/seccomp.h. */
const STRICT = 1;
const FILTER = 2;
const SECCOMP_SET_MODE_FILTER = 1;
const PR_SET_SECCOMP = 22;

/** Read while the thread stands still: later its agent runs. */
const chains = new WeakMap<FrozenThread, Chain>();
/** How many filters the main thread of a process installs for all. */
const installed = new WeakMap<RestoreContext, number>();

export const seccompHandler = {
  name: 'task-seccomp',

  refuseThread(thread: FrozenThread): CrtsError | undefined {
    const mode = modeOf(thread);
    if (mode === STRICT || mode === 0) return undefined;
    if (mode !== FILTER) return unknownMode(thread.tid, String(mode));
    let chain: Chain;
    try {
      chain = readChain(thread);
    } catch (error) {
      if (error instanceof SyscallError && error.errno !== 'ESRCH') return notReadable(thread.tid, error.errno);
      throw error;
    }
    chains.set(thread, chain);
    return chain.some(({ program }) => asksSupervisor(program)) ? supervised(thread.tid) : undefined;
  },

  dump(task: FrozenTask) {
    return () => {
      const add = (chain: Chain) => FilterImage.of(task.tree).add(chain);
      const [main, ...others] = task.threads;
      const own = chains.get(main!);
      const common = others.length === 0 ? 0 : commonStart(task.threads.map((thread) => chains.get(thread) ?? []));
      // As CRIU does it: what all threads have, the main thread installs for all.
      if (own !== undefined && others.every((thread) => sameChain(own, chains.get(thread) ?? [])))
        return note(main!, FILTER, add(synchronised(own)));
      for (const thread of task.threads) {
        const mode = modeOf(thread);
        if (mode === FILTER) note(thread, mode, add(chains.get(thread)!), common);
        else if (mode === STRICT) note(thread, mode);
      }
    };
  },

  planThread(record: ImageRecord, plan: ThreadPlan, context: RestoreContext): void {
    const { tc, thread_core: thread } = record as CoreEntry;
    // Images before CRIU 4 have it in tc, for all threads of the process.
    const isOld = thread?.seccomp_mode === undefined;
    const mode = thread?.seccomp_mode ?? tc?.old_seccomp_mode ?? 0;
    if (mode === 0) return;
    if (mode === STRICT) {
      planStrict(plan);
      return;
    }
    if (mode !== FILTER) throw badFilters('core_entry.thread_core.seccomp_mode', String(mode));
    const start = isOld ? tc?.old_seccomp_filter : thread.seccomp_filter;
    if (start === undefined) throw badFilters('core_entry.thread_core.seccomp_filter', 'missing');
    const chain = chainAt(filtersOf(context), start);
    const common = thread?.crts?.seccomp_common ?? 0;
    if (plan.isMain) installed.set(context, common);
    if (common > chain.length || common !== (installed.get(context) ?? 0))
      throw badFilters('core_entry.thread_core.crts.seccomp_common', String(common));
    // The main thread installs for all what all of them begin with; each of the others the rest, when it is traced.
    if (!plan.isMain && common < chain.length) planFilters(chain.slice(common), plan);
    if (plan.isMain) planFilters([...synchronised(chain.slice(0, common)), ...chain.slice(common)], plan, isOld);
  },
} satisfies TaskStateHandler;

function modeOf({ facts }: FrozenThread): number {
  return Number(facts.status.get('Seccomp') ?? '0');
}

function readChain(thread: FrozenThread): Chain {
  // Without SPEC_ALLOW a filter turns speculation off for good, on kernels that were told so: man 2 seccomp.
  const isFree = thread.facts.status.get('Speculation_Store_Bypass') === 'thread vulnerable';
  return ptraceSeccompFilters(thread.hostTid).map(({ program, flags }) => ({
    program,
    flags: (flags & FLAG.log) | (isFree ? FLAG.specAllow : 0),
  }));
}

function synchronised(chain: Chain): Chain {
  return chain.map(({ program, flags }) => ({ program, flags: flags | FLAG.tsync }));
}

function note(thread: FrozenThread, mode: number, filter?: number, common = 0): void {
  const core = (thread.core as CoreEntry).thread_core!;
  core.seccomp_mode = mode;
  if (common > 0) core.crts = { ...core.crts, seccomp_common: common };
  if (filter !== undefined) core.seccomp_filter = filter;
}

function filtersOf(context: RestoreContext) {
  const entries = context.items('seccomp').map(({ value }) => value as SeccompEntry);
  return entries.flatMap(({ seccomp_filters: filters }) => filters);
}

/**
 * Before the credentials: installing needs CAP_SYS_ADMIN. After the threads are there, for those that follow (TSYNC). The calls
 * of the restore that come later are not filtered: ThreadPlan.suspendSeccomp().
 */
const HEAD = { plugin: 'task-seccomp', stage: 'credentials', provides: ['rlimits', 'scheduling'] } as const;

function planStrict(plan: ThreadPlan): void {
  plan.suspendSeccomp();
  plan.pass({ ...HEAD, what: 'strict seccomp mode' }, (program) => {
    program.call('prctl', [PR_SET_SECCOMP, STRICT, 0, 0, 0], {
      fail: (errno) => notInstalled(plan.tid, 0, errno),
    });
  });
}

function planFilters(wanted: Chain, plan: ThreadPlan, forAll = false): void {
  plan.suspendSeccomp();
  const chain = forAll ? synchronised(wanted) : wanted;
  plan.pass({ ...HEAD, what: `${chain.length} seccomp filters` }, (program) => {
    chain.forEach((filter, index) => {
      emitFilter(program, filter, index, plan.tid);
    });
  });
}

function emitFilter(program: Program, { program: code, flags }: Chain[number], index: number, tid: number): void {
  const fprog = program.bytes(sockFprog.encode({ len: code.length / INSTRUCTION_BYTES }));
  program.store(fprog, sockFprog.offsets.filter, program.bytes(code), 8);
  program.call('seccomp', [SECCOMP_SET_MODE_FILTER, flags, fprog], {
    // With TSYNC the number of a thread that cannot follow is an error too.
    expect: 0,
    what: `seccomp filter ${index}`,
    fail: (errno) => notInstalled(tid, index, errno),
  });
}
