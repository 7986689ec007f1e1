/** What this version of the engine refuses as a whole, from facts alone. */
import type { CrtsError, FrozenTask, TaskFacts } from '@crts/plugin-api';
import { foreignSession, kernelThread } from './errors';
import { foreignNamespace } from './namespace-errors';
import { namespacesOf, ownNamespace } from './namespaces';

/** A kernel thread: include/linux/sched.h. */
const PF_KTHREAD = 0x0020_0000;
const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'];
const TIME_NAMESPACES = ['time', 'time_for_children'];

/** A tree may have a time namespace of its own, all of it the same one. */
export function refuseTask(task: FrozenTask, root: FrozenTask): CrtsError | undefined {
  const { pid, facts } = task;
  if ((Number(facts.stat.flags) & PF_KTHREAD) !== 0) return kernelThread(pid);
  const theirs = namespacesOf(pid, [...NAMESPACES, ...TIME_NAMESPACES, 'pid_for_children']);
  const time = task === root ? theirs[NAMESPACES.length] : namespacesOf(root.pid, TIME_NAMESPACES)[0];
  for (const [index, kind] of NAMESPACES.entries())
    if (theirs[index] !== ownNamespace(kind)) return foreignNamespace(pid, kind);
  for (const [index, kind] of TIME_NAMESPACES.entries())
    if (theirs[NAMESPACES.length + index] !== time) return foreignNamespace(pid, kind);
  // Its next child would be in another one: unshare(CLONE_NEWPID), which leaves the caller where it is.
  if (theirs.at(-1) !== ownNamespace('pid')) return foreignNamespace(pid, 'pid_for_children');
  return undefined;
}

/** The session of the tree has to begin at its root, or crts has to lend its own. */
export function refuseRoot(pid: number, facts: TaskFacts, shellJob: boolean): CrtsError | undefined {
  const sid = Number(facts.stat.session);
  return sid !== pid && !shellJob ? foreignSession(pid, sid) : undefined;
}
