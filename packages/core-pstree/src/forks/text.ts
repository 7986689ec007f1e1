import type { SharedKind } from './objects';
import type { ForkOp, ForkPlan } from './plan';

/** The forks of a tree as lines of `--dry-run`; none for a single task that only leads its session. */
export function forkText({ rounds, ending }: ForkPlan): string[] {
  return [...lines(rounds, 'forks'), ...lines(ending, 'helpers end')];
}

function lines(rounds: readonly (readonly ForkOp[])[], title: string): string[] {
  const text = rounds.flatMap((ops, round) => ops.map((op) => `  ${round}: task ${op.actor} ${describe(op)}`));
  return text.length === 0 ? [] : [title, ...text];
}

function shared(kinds: readonly SharedKind[]): string {
  return kinds.length === 0 ? '' : `, which shares its ${kinds.join(', ')}`;
}

function describe(op: ForkOp): string {
  switch (op.op) {
    case 'fork':
      return `forks ${op.helper ? 'helper ' : ''}${op.child}${op.cloneParent ? ' as its sibling' : ''}${shared(op.shares)}${op.exitSignal === undefined ? '' : `, with exit signal ${op.exitSignal}`}`;
    case 'setsid':
      return 'becomes a session leader';
    case 'subreaper':
      return op.on ? 'adopts orphans' : 'adopts orphans no more';
    case 'setpgid':
      return `joins process group ${op.pgid}`;
    case 'exit':
      return 'exits';
    case 'reap':
      return `reaps ${op.child}`;
  }
}
