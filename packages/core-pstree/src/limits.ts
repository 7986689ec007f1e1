/** What this version of the engine refuses as a whole, from facts alone. */
import { KCMP, readLinks, SyscallBatch, SyscallError } from '@crts/native-syscalls';
import type { CrtsError, FrozenTask, TaskFacts } from '@crts/plugin-api';
import { foreignSession, kernelThread } from './errors';
import { foreignNamespace, unshared } from './namespace-errors';
import { namespacesOf, ownNamespace } from './namespaces';

/** A kernel thread: include/linux/sched.h. */
const PF_KTHREAD = 0x0020_0000;
const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'];
const TIME_NAMESPACES = ['time', 'time_for_children'];

/** What pthread_create(3) shares, and unshare(2) takes apart: include/uapi/linux/kcmp.h. */
const SHARED_BY_THREADS = { files: 'descriptors', fs: 'directories' } as const;
/**
 * Namespaces that a thread can enter alone. It needs directories of its own for another mount namespace, and to be the only
 * thread for time and user (man 2 setns).
 */
const NAMESPACES_BY_THREAD = ['cgroup', 'ipc', 'net', 'uts'];

/** A tree may have a time namespace of its own, all of it the same one. */
export function refuseTask(task: FrozenTask, root: FrozenTask): CrtsError | undefined {
  const { pid, facts } = task;
  if ((Number(facts.stat.flags) & PF_KTHREAD) !== 0) return kernelThread(pid);
  const theirs = namespacesOf(pid, [...NAMESPACES, ...TIME_NAMESPACES]);
  const time = task === root ? theirs[NAMESPACES.length] : namespacesOf(root.pid, TIME_NAMESPACES)[0];
  for (const [index, kind] of NAMESPACES.entries())
    if (theirs[index] !== ownNamespace(kind)) return foreignNamespace(pid, kind);
  for (const [index, kind] of TIME_NAMESPACES.entries())
    if (theirs[NAMESPACES.length + index] !== time) return foreignNamespace(pid, kind);
  return refuseThreads(task);
}

/** Images have one table of descriptors, one set of directories and one set of namespaces for all threads of a process. */
function refuseThreads({ pid, hostPid, threads }: FrozenTask): CrtsError | undefined {
  if (threads.length === 1) return undefined;
  const others = threads.slice(1);
  const kinds = Object.entries(SHARED_BY_THREADS) as [keyof typeof SHARED_BY_THREADS, string][];
  const batch = new SyscallBatch(others.length * kinds.length);
  for (const { hostTid } of others) for (const [kind] of kinds) batch.add('kcmp', hostPid, hostTid, KCMP[kind]);
  batch.run();
  const links = readLinks(
    threads.flatMap(({ hostTid }) => NAMESPACES_BY_THREAD.map((kind) => `/proc/${hostPid}/task/${hostTid}/ns/${kind}`)),
  );
  for (const [index, { tid }] of others.entries()) {
    for (const [step, [, name]] of kinds.entries()) {
      const order = batch.result(index * kinds.length + step);
      if (order < 0) throw new SyscallError(`kcmp(${hostPid}, ${tid})`, -order);
      if (order !== 0) return unshared(pid, tid, name);
    }
    const differs = NAMESPACES_BY_THREAD.find((_, kind) => {
      const link = links[(index + 1) * NAMESPACES_BY_THREAD.length + kind]!;
      // The kernel was built without this kind of namespace.
      return typeof link === 'string' && link !== links[kind];
    });
    if (differs !== undefined) return unshared(pid, tid, `a ${differs} namespace`);
  }
  return undefined;
}

/** The session of the tree has to begin at its root, or crts has to lend its own. */
export function refuseRoot(pid: number, facts: TaskFacts, shellJob: boolean): CrtsError | undefined {
  const sid = Number(facts.stat.session);
  return sid !== pid && !shellJob ? foreignSession(pid, sid) : undefined;
}
