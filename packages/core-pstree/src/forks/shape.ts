/** The tree as asked for: indexed, and checked for what no kernel makes. */
import { foreignSession, treeShape } from '../errors';
import type { TreeTask } from './plan';

export interface Shape {
  readonly root: TreeTask;
  readonly tasks: ReadonlyMap<number, TreeTask>;
  /** Session that the root lives in: its own, or that of crts (a job of a shell). */
  readonly base: number;
  /** Sessions whose leader is gone: a helper of that pid, the founder, makes them. */
  readonly founders: ReadonlySet<number>;
  /** Process groups apart from those of session leaders and from the outer one, with their members. */
  readonly groups: ReadonlyMap<number, readonly TreeTask[]>;
  readonly outerPgid: number | undefined;
}

export const isLeader = (task: TreeTask): boolean => task.sid === task.pid;

export function readShape(list: readonly TreeTask[], shellJob: boolean): Shape {
  const root = list.find(({ ppid }) => ppid === 0);
  if (root === undefined) throw treeShape(list[0]?.pid ?? 0, 'the tree has no root');
  const tasks = new Map<number, TreeTask>();
  for (const task of list) {
    if (tasks.has(task.pid)) throw treeShape(task.pid, 'two tasks have this pid');
    tasks.set(task.pid, task);
  }
  checkParents(root, tasks);
  if (!isLeader(root)) {
    if (!shellJob) throw foreignSession(root.pid, root.sid).with({ stage: 'restore' });
    if (tasks.has(root.sid))
      throw treeShape(root.pid, `its session ${root.sid} would be that of one of its descendants`);
  }
  const base = root.sid;
  const outerPgid = isLeader(root) ? undefined : outerGroup(root, tasks);
  const founders = new Set<number>();
  for (const { pid, sid } of tasks.values()) {
    const head = tasks.get(sid);
    if (head !== undefined && !isLeader(head))
      throw treeShape(pid, `its session ${sid} has the pid of a task that leads no session`);
    if (head !== undefined || sid === base) continue;
    if (sid <= 0)
      throw treeShape(pid, 'its session lies outside of its pid namespace', 'Only the root may be a job of a shell.');
    founders.add(sid);
  }
  return { root, tasks, base, founders, groups: readGroups(tasks, founders, base, outerPgid), outerPgid };
}

/** Every task has to lead up to the root. */
function checkParents(root: TreeTask, tasks: ReadonlyMap<number, TreeTask>): void {
  const known = new Set([root.pid]);
  for (const task of tasks.values()) {
    const path: number[] = [];
    const walked = new Set<number>();
    for (let at = task; !known.has(at.pid); ) {
      if (walked.has(at.pid)) throw treeShape(at.pid, 'it is its own ancestor');
      walked.add(at.pid);
      path.push(at.pid);
      const parent = tasks.get(at.ppid);
      if (parent === undefined) throw treeShape(at.pid, `its parent ${at.ppid} is not in the tree`);
      if (parent.dead) throw treeShape(at.pid, `its parent ${at.ppid} is dead`);
      at = parent;
    }
    for (const pid of path) known.add(pid);
  }
}

/**
 * Which of the groups whose leader is not in the tree stands for that of crts: the one of the session's leader if anyone is in
 * it, else the root's.
 */
function outerGroup(root: TreeTask, tasks: ReadonlyMap<number, TreeTask>): number {
  if (tasks.has(root.pgid)) return root.sid;
  for (const { pgid } of tasks.values()) if (pgid === root.sid) return root.sid;
  return root.pgid;
}

function readGroups(
  tasks: ReadonlyMap<number, TreeTask>,
  founders: ReadonlySet<number>,
  base: number,
  outerPgid: number | undefined,
): Map<number, TreeTask[]> {
  const groups = new Map<number, TreeTask[]>();
  for (const task of tasks.values()) {
    const { pid, pgid, sid } = task;
    if (isLeader(task)) {
      if (pgid !== pid) throw treeShape(pid, `it leads a session but is in the process group ${pgid}`);
      continue;
    }
    if (pgid === outerPgid && outerPgid !== undefined) {
      if (sid !== base)
        throw treeShape(pid, `its process group ${pgid} belongs to session ${base}, not to its own (${sid})`);
      continue;
    }
    if (pgid === sid) continue;
    if (pgid <= 0) throw treeShape(pid, 'its process group lies outside of its pid namespace');
    const leader = tasks.get(pgid);
    if (founders.has(pgid) || (leader !== undefined && leader.sid !== sid))
      throw treeShape(pid, `its process group ${pgid} belongs to another session than its own (${sid})`);
    const members = groups.get(pgid);
    if (members === undefined) groups.set(pgid, [task]);
    else if (members[0]!.sid !== sid)
      throw treeShape(pid, `its process group ${pgid} has members in the sessions ${members[0]!.sid} and ${sid}`);
    else members.push(task);
  }
  return groups;
}
