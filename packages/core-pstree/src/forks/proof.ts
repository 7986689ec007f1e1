/** A plan is run on the model of the kernel before it is given out: a mistake of the planner shows before any process exists. */
import { forkPlanWrong } from '../errors';
import { KernelModel } from './kernel-model';
import type { ForkOp, ForkPlan } from './plan';
import { isLeader, type Shape } from './shape';

/** Stands for the session and the group of crts, when the root leaves them; helpers without a pid of their own have small negative ones. */
const OUTSIDE = Number.MIN_SAFE_INTEGER;

export function provePlan(shape: Shape, plan: ForkPlan): void {
  const { root, tasks, outerPgid } = shape;
  const model = new KernelModel({
    pid: root.pid,
    pgid: outerPgid ?? OUTSIDE,
    sid: isLeader(root) ? OUTSIDE : root.sid,
  });
  let at = '';
  try {
    for (const op of [...plan.rounds, ...plan.ending].flat()) {
      at = opText(op);
      apply(model, op);
    }
  } catch (error) {
    throw forkPlanWrong(root.pid, at, error);
  }
  for (const pid of model.pids) if (!tasks.has(pid)) throw forkPlanWrong(pid, 'a helper stays behind');
  for (const task of tasks.values()) {
    const made = model.get(task.pid);
    if (made === undefined) throw forkPlanWrong(task.pid, 'the task is not made');
    if (made.parent !== task.ppid || made.pgid !== task.pgid || made.sid !== task.sid || made.subreaper)
      throw forkPlanWrong(task.pid, `made with parent ${made.parent}, group ${made.pgid}, session ${made.sid}`);
  }
}

export function apply(model: KernelModel, op: ForkOp): void {
  if (op.op === 'fork') model.fork(op.actor, op.child, op.cloneParent);
  else if (op.op === 'setsid') model.setsid(op.actor);
  else if (op.op === 'setpgid') model.setpgid(op.actor, op.pgid);
  else if (op.op === 'subreaper') model.setSubreaper(op.actor, op.on);
  else if (op.op === 'exit') model.exit(op.actor);
  else model.reap(op.actor, op.child);
}

/** For `--dry-run`, messages and tests: `12: fork 13`. */
export function opText(op: ForkOp): string {
  const { actor } = op;
  if (op.op === 'fork')
    return `${actor}: fork${op.cloneParent ? ' (CLONE_PARENT)' : ''} ${op.helper ? 'helper ' : ''}${op.child}`;
  if (op.op === 'setpgid') return `${actor}: setpgid ${op.pgid}`;
  if (op.op === 'subreaper') return `${actor}: subreaper ${op.on ? 'on' : 'off'}`;
  return op.op === 'reap' ? `${actor}: reap ${op.child}` : `${actor}: ${op.op}`;
}
