import type { SharedKind } from './objects';
import type { ForkOp } from './plan';

/** A helper and the task that has to reap it. */
export interface Ending {
  readonly pid: number;
  readonly parent: number;
}

interface How {
  readonly cloneParent?: boolean;
  readonly helper?: boolean;
  readonly shares?: readonly SharedKind[];
  readonly exitSignal?: number | undefined;
}

export function fork(actor: number, child: number, { cloneParent, helper, shares, exitSignal }: How): ForkOp {
  const op = { op: 'fork', actor, child, cloneParent: cloneParent ?? false, helper: helper ?? false } as const;
  return { ...op, shares: shares ?? [], ...(exitSignal === undefined ? {} : { exitSignal }) };
}
