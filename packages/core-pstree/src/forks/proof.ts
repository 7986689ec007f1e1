/** A plan is run on the model of the kernel before it is given out: a mistake of the planner shows before any process exists. */
import { forkPlanWrong, treeShape } from '../errors';
import { SIGCHLD } from '../signal-numbers';
import { KernelModel } from './kernel-model';
import { SHARED_KINDS, type SharedKind } from './objects';
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
    const signal = task.exitSignal ?? SIGCHLD;
    if (task !== root && made.exitSignal !== signal)
      throw treeShape(
        task.pid,
        `no order of clone(2) makes it a child of ${task.ppid} with exit signal ${signal}`,
        'Dump when the process is gone.',
      );
  }
  for (const kind of SHARED_KINDS) proveShared(shape, model, kind);
}

/** Objects of the model and those asked for are one to one. */
function proveShared({ tasks }: Shape, model: KernelModel, kind: SharedKind): void {
  const made = new Map<number, number>();
  const asked = new Map<number, number>();
  for (const { pid, objects } of tasks.values()) {
    // One that shares nothing has a number that no other can have.
    const want = objects?.[kind] ?? -pid;
    const got = model.get(pid)!.objects[kind];
    if ((made.get(want) ?? got) !== got || (asked.get(got) ?? want) !== want)
      throw forkPlanWrong(pid, `made with the ${kind} of others than those that it is to share it with`);
    made.set(want, got);
    asked.set(got, want);
  }
}

export function apply(model: KernelModel, op: ForkOp): void {
  if (op.op === 'fork') model.fork(op.actor, op.child, op.cloneParent, op.shares, op.exitSignal);
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
    return `${actor}: fork${op.cloneParent ? ' (CLONE_PARENT)' : ''} ${op.helper ? 'helper ' : ''}${op.child}${op.shares.length > 0 ? ` with ${op.shares.join(', ')}` : ''}${op.exitSignal === undefined ? '' : `, exit signal ${op.exitSignal}`}`;
  if (op.op === 'setpgid') return `${actor}: setpgid ${op.pgid}`;
  if (op.op === 'subreaper') return `${actor}: subreaper ${op.on ? 'on' : 'off'}`;
  return op.op === 'reap' ? `${actor}: reap ${op.child}` : `${actor}: ${op.op}`;
}
