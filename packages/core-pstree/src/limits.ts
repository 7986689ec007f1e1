/** What this version of the engine refuses as a whole, from facts alone. */
import { readLinkBytes } from '@crts/native-syscalls';
import type { CrtsError, FrozenTask, TaskFacts } from '@crts/plugin-api';
import { foreignSession, kernelThread } from './errors';
import { foreignNamespace } from './namespace-errors';

/** A kernel thread: include/linux/sched.h. */
const PF_KTHREAD = 0x0020_0000;
const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'];

/** A tree may have a time namespace of its own, all of it the same one. */
export function refuseTask(task: FrozenTask, root: FrozenTask): CrtsError | undefined {
  const { pid, facts } = task;
  if ((Number(facts.stat.flags) & PF_KTHREAD) !== 0) return kernelThread(pid);
  for (const kind of NAMESPACES) {
    if (namespace(pid, kind) !== ownNamespace(kind)) return foreignNamespace(pid, kind);
  }
  const time = namespace(root.pid, 'time');
  for (const kind of ['time', 'time_for_children'])
    if (namespace(pid, kind) !== time) return foreignNamespace(pid, kind);
  // Its next child would be in another one: unshare(CLONE_NEWPID), which leaves the caller where it is.
  if (namespace(pid, 'pid_for_children') !== ownNamespace('pid')) return foreignNamespace(pid, 'pid_for_children');
  return undefined;
}

/** The session of the tree has to begin at its root, or crts has to lend its own. */
export function refuseRoot(pid: number, facts: TaskFacts, shellJob: boolean): CrtsError | undefined {
  const sid = Number(facts.stat.session);
  return sid !== pid && !shellJob ? foreignSession(pid, sid) : undefined;
}

const own = new Map<string, string>();

/** Of the engine, which enters none: asked once. */
function ownNamespace(kind: string): string {
  const known = own.get(kind) ?? namespace('self', kind);
  own.set(kind, known);
  return known;
}

function namespace(pid: number | string, kind: string): string {
  try {
    return readLinkBytes(`/proc/${pid}/ns/${kind}`).toString();
  } catch {
    // The kernel was built without this kind of namespace.
    return '';
  }
}
