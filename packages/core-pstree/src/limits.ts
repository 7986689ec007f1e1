/** What this version of the engine refuses as a whole, from facts alone. */
import { readlinkSync } from 'node:fs';
import type { CrtsError, FrozenTask, TaskFacts } from '@crts/plugin-api';
import { foreignNamespace, foreignSession, kernelThread } from './errors';

/** A kernel thread: include/linux/sched.h. */
const PF_KTHREAD = 0x0020_0000;
const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'time', 'user', 'uts'];

export function refuseTask({ pid, facts }: FrozenTask): CrtsError | undefined {
  if ((Number(facts.stat.flags) & PF_KTHREAD) !== 0) return kernelThread(pid);
  for (const kind of NAMESPACES) {
    if (namespace(pid, kind) !== namespace('self', kind)) return foreignNamespace(pid, kind);
  }
  return undefined;
}

/** The session of the tree has to begin at its root, or crts has to lend its own. */
export function refuseRoot(pid: number, facts: TaskFacts, shellJob: boolean): CrtsError | undefined {
  const sid = Number(facts.stat.session);
  return sid !== pid && !shellJob ? foreignSession(pid, sid) : undefined;
}

function namespace(pid: number | string, kind: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`);
  } catch {
    // The kernel was built without this kind of namespace.
    return '';
  }
}
