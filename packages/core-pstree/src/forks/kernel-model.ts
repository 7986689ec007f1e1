/**
 * The kernel's rules about parents, sessions and process groups, as far as plans of forks meet them. Every plan is run on this
 * model before it is given out, and the tests make their trees with it.
 */

import { SIGCHLD } from '../signal-numbers';
import { SHARED_KINDS, type SharedKind } from './objects';

interface ModelTask {
  readonly pid: number;
  parent: number;
  pgid: number;
  sid: number;
  dead: boolean;
  subreaper: boolean;
  exitSignal: number;
  readonly children: Set<number>;
  readonly objects: { -readonly [Kind in SharedKind]: number };
}

/** The kernel says no. */
export class ModelError extends Error {
  constructor(
    readonly pid: number,
    readonly call: string,
    readonly errno: string,
  ) {
    super(`${pid}: ${call}: ${errno}`);
  }
}

export class KernelModel {
  readonly #tasks = new Map<number, ModelTask>();
  /** Members of each process group and of each session; an id with members keeps its struct pid, so that no task can get it. */
  readonly #groups = new Map<number, Set<number>>();
  readonly #sessions = new Map<number, Set<number>>();
  #nextObject = 1;

  /** A tree of one task, whose parent (0) is out of it and keeps the session and the group that it is born in. */
  constructor(readonly root: { readonly pid: number; readonly pgid: number; readonly sid: number }) {
    const state = { dead: false, subreaper: false, exitSignal: SIGCHLD };
    this.#add({ ...root, ...state, parent: 0, children: new Set(), objects: this.#objects() });
    enter(this.#groups, root.pgid, 0);
    enter(this.#sessions, root.sid, 0);
  }

  get pids(): number[] {
    return [...this.#tasks.keys()];
  }

  get(pid: number): Readonly<ModelTask> | undefined {
    return this.#tasks.get(pid);
  }

  /** copy_process(), alloc_pid(): EEXIST as long as any task is, or is in a group or session of, that number. */
  fork(
    actor: number,
    child: number,
    cloneParent: boolean,
    shares: readonly SharedKind[] = [],
    exitSignal = SIGCHLD,
  ): void {
    const creator = this.#living(actor, 'clone3');
    if (this.#tasks.has(child) || this.#groups.has(child) || this.#sessions.has(child))
      throw new ModelError(actor, `clone3(set_tid ${child})`, 'EEXIST');
    const parent = cloneParent ? creator.parent : actor;
    if (parent === 0) throw new ModelError(actor, 'clone3(CLONE_PARENT)', 'the child would be out of the tree');
    if (shares.includes('sighand') && !shares.includes('vm'))
      throw new ModelError(actor, 'clone3(CLONE_SIGHAND without CLONE_VM)', 'EINVAL');
    const { pgid, sid } = creator;
    const objects = this.#objects();
    for (const kind of shares) objects[kind] = creator.objects[kind];
    const state = { dead: false, subreaper: false, exitSignal: cloneParent ? creator.exitSignal : exitSignal };
    this.#add({ pid: child, parent, pgid, sid, ...state, children: new Set(), objects });
  }

  /** unshare(2), or what begin_new_exec() in fs/exec.c does: copies that are the task's alone. */
  unshare(actor: number, kinds: readonly SharedKind[]): void {
    const task = this.#living(actor, 'unshare');
    for (const kind of kinds) task.objects[kind] = this.#nextObject++;
  }

  #objects() {
    const first = this.#nextObject;
    this.#nextObject += SHARED_KINDS.length;
    return { vm: first, files: first + 1, fs: first + 2, sighand: first + 3 };
  }

  /** ksys_setsid(): EPERM as long as there is a process group of that number. */
  setsid(actor: number): void {
    const task = this.#living(actor, 'setsid');
    if (this.#groups.has(actor) || task.sid === actor) throw new ModelError(actor, 'setsid', 'EPERM');
    this.#join(task, actor);
    leave(this.#sessions, task.sid, actor);
    task.sid = actor;
    enter(this.#sessions, actor, actor);
  }

  /** setpgid(2) on oneself: no session leader; an existing group of the session, or a new one of one's own number. */
  setpgid(actor: number, pgid: number): void {
    const task = this.#living(actor, 'setpgid');
    const call = `setpgid(0, ${pgid})`;
    if (task.sid === actor) throw new ModelError(actor, call, 'EPERM');
    if (pgid !== actor) {
      const [member] = this.#groups.get(pgid) ?? [];
      const sid = member === 0 ? this.root.sid : member !== undefined && this.#tasks.get(member)!.sid;
      if (sid !== task.sid) throw new ModelError(actor, call, 'EPERM');
    }
    this.#join(task, pgid);
  }

  setSubreaper(actor: number, on: boolean): void {
    this.#living(actor, 'prctl').subreaper = on;
  }

  /** forget_original_parent() and reparent_leader(): children go to the nearest living subreaper above, or out of the tree. */
  exit(actor: number): void {
    const task = this.#living(actor, 'exit');
    task.dead = true;
    let reaper = this.#tasks.get(task.parent);
    while (reaper !== undefined && (reaper.dead || !reaper.subreaper)) reaper = this.#tasks.get(reaper.parent);
    for (const child of task.children) {
      const orphan = this.#tasks.get(child)!;
      orphan.parent = reaper?.pid ?? 0;
      orphan.exitSignal = SIGCHLD;
      reaper?.children.add(child);
    }
    task.children.clear();
  }

  reap(actor: number, child: number): void {
    const parent = this.#living(actor, `wait4(${child})`);
    if (!parent.children.has(child)) throw new ModelError(actor, `wait4(${child})`, 'ECHILD');
    const task = this.#tasks.get(child)!;
    if (!task.dead) throw new ModelError(actor, `wait4(${child})`, 'it would wait forever');
    parent.children.delete(child);
    this.#tasks.delete(child);
    leave(this.#groups, task.pgid, child);
    leave(this.#sessions, task.sid, child);
  }

  #add(task: ModelTask): void {
    this.#tasks.set(task.pid, task);
    this.#tasks.get(task.parent)?.children.add(task.pid);
    enter(this.#groups, task.pgid, task.pid);
    enter(this.#sessions, task.sid, task.pid);
  }

  #join(task: ModelTask, pgid: number): void {
    leave(this.#groups, task.pgid, task.pid);
    task.pgid = pgid;
    enter(this.#groups, pgid, task.pid);
  }

  #living(pid: number, call: string): ModelTask {
    const task = this.#tasks.get(pid);
    if (task === undefined || task.dead) throw new ModelError(pid, call, 'there is no such task');
    return task;
  }
}

function enter(sets: Map<number, Set<number>>, id: number, pid: number): void {
  const set = sets.get(id);
  if (set === undefined) sets.set(id, new Set([pid]));
  else set.add(pid);
}

function leave(sets: Map<number, Set<number>>, id: number, pid: number): void {
  const set = sets.get(id)!;
  set.delete(pid);
  if (set.size === 0) sets.delete(id);
}
