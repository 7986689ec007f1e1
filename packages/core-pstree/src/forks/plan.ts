/**
 * How a process tree is forked: an order of fork, setsid, setpgid and exit after which every task has its pid, parent, process
 * group and session. Pure: nothing here makes a system call. docs/adr/ has the page on the method.
 */
import { traceLineage } from './lineage';
import { nestSessions } from './nesting';
import type { Objects, SharedKind } from './objects';
import { provePlan } from './proof';
import { Rounds } from './rounds';
import { readShape } from './shape';

export interface TreeTask {
  readonly pid: number;
  /** 0 for the root. */
  readonly ppid: number;
  readonly pgid: number;
  readonly sid: number;
  /** A zombie: restored as a task that exits after all operations of the plan. */
  readonly dead: boolean;
  /** Its final flag, which the task sets itself after all operations of the plan: they need it off until then. */
  readonly subreaper: boolean;
  /** What it shares with others; nothing, as with one that is dead, where undefined. */
  readonly objects?: Objects | undefined;
  /** What its parent gets for its end, 0 for nothing; SIGCHLD where undefined. Of the root it does not count. */
  readonly exitSignal?: number | undefined;
}

/** One system call of one task. A helper is a task that is not of the tree: the plan ends it and reaps it. */
export type ForkOp =
  /**
   * `cloneParent`: the child becomes a child of the actor's parent, but is born in the session and group of the actor.
   * clone3 wants exit_signal 0 with CLONE_PARENT (clone3_args_valid(), kernel/fork.c); the child gets the actor's.
   */
  | {
      op: 'fork';
      actor: number;
      child: number;
      cloneParent: boolean;
      helper: boolean;
      /** What the child shares with the actor. */
      shares: readonly SharedKind[];
      /** SIGCHLD where undefined. */
      exitSignal?: number;
    }
  | { op: 'setsid'; actor: number }
  /** Temporary: on while orphans are handed up, off afterwards. */
  | { op: 'subreaper'; actor: number; on: boolean }
  /** Always of the actor itself. A pgid equal to `outerPgid` of the plan means the group that the root was born in. */
  | { op: 'setpgid'; actor: number; pgid: number }
  /** Helpers only. It is over only when the `reap` returns: until then its children may not have been handed up. */
  | { op: 'exit'; actor: number }
  /** wait4(child) by its parent, which blocks until the child is dead. */
  | { op: 'reap'; actor: number; child: number };

export interface ForkPlan {
  /**
   * The rounds follow each other. Within one, the operations of an actor are in order, and those of different actors do not
   * depend on each other: they may run side by side.
   */
  readonly rounds: readonly (readonly ForkOp[])[];
  /** Rounds at the end of the restore: the helpers asked for in the options exit and are reaped. */
  readonly ending: readonly (readonly ForkOp[])[];
  /** Process group of the images that stands for the one which the root is born in (a job of a shell); undefined if there is none. */
  readonly outerPgid: number | undefined;
}

export interface ForkOptions {
  /** The root may belong to a session that is not in the images: it then lives in that of crts. */
  readonly shellJob: boolean;
  /** Pids of tasks that are not of the tree and have to exist until the end, e.g. of dead-process remaps. */
  readonly helpers?: readonly number[];
  /** A pid for a helper that needs no particular one. */
  readonly freePid: () => number;
}

/**
 * The root itself (the one task with ppid 0) is forked by the engine; its setsid is in the plan.
 * Throws CRTS_TREE_SHAPE when no sequence of operations makes such a tree, CRTS_SHARED when its tasks cannot be made to share what
 * they are to.
 */
export function planForks(tasks: readonly TreeTask[], options: ForkOptions): ForkPlan {
  const shape = readShape(tasks, options.shellJob);
  const nesting = nestSessions(shape);
  const lineage = traceLineage(shape, nesting);
  const plan = new Rounds(shape, lineage, options).plan();
  provePlan(shape, plan);
  return plan;
}
