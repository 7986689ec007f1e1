/** What threads of a process have apart from each other by unshare(2) and setns(2). */
import { KCMP, kcmp, readLinks, SyscallBatch, SyscallError } from '@crts/native-syscalls';
import type { CrtsError } from '@crts/plugin-api';
import type { Frozen, StoppedThread } from './frozen-task';
import { unshared, unsharedTogether } from './namespace-errors';

/** What pthread_create(3) shares, and unshare(2) takes apart: include/uapi/linux/kcmp.h. */
const KINDS = [KCMP.files, KCMP.fs];
/** What a thread can have alone. It must be the only one to enter a time or user namespace (man 2 setns), but not for its children's. */
const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid_for_children', 'time_for_children', 'uts'];

/** Images have one table of descriptors and one set of namespaces for all threads of a process. Directories may be a thread's own. */
export function refuseThreads({ pid, hostPid, threads }: Frozen): CrtsError | undefined {
  if (threads.length === 1) return undefined;
  const others = threads.slice(1);
  const batch = new SyscallBatch(others.length * KINDS.length);
  for (const { hostTid } of others) for (const kind of KINDS) batch.add('kcmp', hostPid, hostTid, kind);
  batch.run();
  const links = readLinks(
    threads.flatMap(({ hostTid }) => NAMESPACES.map((kind) => `/proc/${hostPid}/task/${hostTid}/ns/${kind}`)),
  );
  for (const [index, thread] of others.entries()) {
    const { tid, hostTid } = thread;
    const [files, fs] = KINDS.map((_, step) => {
      const order = batch.result(index * KINDS.length + step);
      if (order < 0) throw new SyscallError(`kcmp(${hostPid}, ${hostTid})`, -order);
      return order;
    });
    if (files !== 0) return unshared(pid, tid, 'a table of descriptors');
    thread.hasOwnDirectories = fs !== 0;
    const differs = NAMESPACES.find((_, kind) => links[(index + 1) * NAMESPACES.length + kind] !== links[kind]);
    if (differs !== undefined) return unshared(pid, tid, `a ${differs} namespace`);
  }
  return undefined;
}

/** Who has directories of its own made them by unshare(2) again: nobody can have them with it. */
export function refuseTogether(tasks: readonly Frozen[]): CrtsError | undefined {
  const apart = tasks.flatMap(({ threads }) => threads.filter(({ hasOwnDirectories }) => hasOwnDirectories));
  if (apart.length === 0) return undefined;
  // kcmp(2) orders objects: those that are the same are neighbours.
  const sorted = [...apart, ...tasks.map(({ threads }) => threads[0]!)].sort(byDirectories);
  for (let at = 1; at < sorted.length; at++) {
    const [one, other] = [sorted[at - 1]!, sorted[at]!];
    if ((one.hasOwnDirectories || other.hasOwnDirectories) && byDirectories(one, other) === 0)
      return unsharedTogether(one.task.pid, one.tid, other.tid);
  }
  return undefined;
}

function byDirectories({ hostTid: one }: StoppedThread, { hostTid: other }: StoppedThread): number {
  const order = kcmp(one, other, KCMP.fs);
  return order === 1 ? -1 : order;
}
