/** What this version of the engine refuses as a whole, from facts alone. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { CrtsError, TaskFacts } from '@crts/plugin-api';
import { children, foreignNamespace, foreignSession, kernelThread, stoppedTask, threads } from './errors';

/** A kernel thread: include/linux/sched.h. */
const PF_KTHREAD = 0x0020_0000;
const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'time', 'user', 'uts'];

export function refuseTask(
  pid: number,
  facts: TaskFacts,
  wasStopped: boolean,
  shellJob: boolean,
): CrtsError | undefined {
  if ((Number(facts.stat.flags) & PF_KTHREAD) !== 0) return kernelThread(pid);
  if (wasStopped) return stoppedTask(pid);
  const tasks = readdirSync(`/proc/${pid}/task`);
  if (tasks.length > 1) return threads(pid, tasks.length);
  const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  if (list !== '') return children(pid, list);
  for (const kind of NAMESPACES) {
    if (namespace(pid, kind) !== namespace('self', kind)) return foreignNamespace(pid, kind);
  }
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
