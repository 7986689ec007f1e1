import type { ForkOp } from './plan';

/** A helper and the task that has to reap it. */
export interface Ending {
  readonly pid: number;
  readonly parent: number;
}

export function fork(actor: number, child: number, how: { cloneParent?: boolean; helper?: boolean }): ForkOp {
  return { op: 'fork', actor, child, cloneParent: how.cloneParent ?? false, helper: how.helper ?? false };
}
