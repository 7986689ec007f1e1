/**
 * Creators of tasks that share: a child shares with who creates it, and nothing else makes two tasks share. So of those that share
 * an object all but one have to be created by another of them.
 */
import { cannotShare } from '../sharing-errors';
import type { Nesting } from './nesting';
import { SHARED_KINDS, type SharedKind, sharedBy } from './objects';
import type { TreeTask } from './plan';
import type { Shape } from './shape';

/** Tasks that share an object, in the order of the tree. */
interface Sharers {
  readonly kind: SharedKind;
  readonly tasks: readonly TreeTask[];
}

/** A pass may leave others to do, where tasks share several kinds with several others. */
const PASSES_MAX = 8;

/**
 * Changes creators where that lets tasks share what they are to. A task may be created by any that its parent is above, or
 * that is its parent, in the same session.
 * @throws CrtsError CRTS_SHARED
 */
export function joinSharers(shape: Shape, creators: Map<number, number>, { bornIn }: Nesting): void {
  const classes = sharersOf(shape);
  const isAbove = (high: number, low: number): boolean => {
    for (let at: number | undefined = low; at !== undefined; at = creators.get(at)) if (at === high) return true;
    return false;
  };
  const mayCreate = (creator: TreeTask, { pid, ppid }: TreeTask): boolean => {
    const session = bornIn(pid);
    const isThere = session === creator.pid || session === bornIn(creator.pid);
    return isThere && isAbove(ppid, creator.pid) && !isAbove(pid, creator.pid);
  };
  const has = (task: TreeTask) => sharedBy(task.objects, shape.tasks.get(creators.get(task.pid) ?? -1)?.objects);
  for (let pass = 0; ; pass++) {
    let stray: { readonly kind: SharedKind; readonly head: TreeTask; readonly task: TreeTask } | undefined;
    for (const { kind, tasks } of classes) {
      const [head, ...others] = tasks.filter((task) => !has(task).includes(kind));
      for (const task of others) {
        const before = has(task);
        let best: TreeTask | undefined;
        let most = before.length;
        for (const creator of tasks) {
          const shares = sharedBy(task.objects, creator.objects);
          const isBetter = shares.length > most && before.every((one) => shares.includes(one));
          if (!isBetter || !mayCreate(creator, task)) continue;
          best = creator;
          most = shares.length;
        }
        if (best === undefined) stray ??= { kind, head: head!, task };
        else creators.set(task.pid, best.pid);
      }
    }
    if (stray === undefined) return;
    if (pass === PASSES_MAX) throw cannotShare(stray.task.pid, stray.kind, stray.head.pid);
  }
}

function sharersOf({ tasks }: Shape): Sharers[] {
  return SHARED_KINDS.flatMap((kind) => {
    const classes = new Map<number, TreeTask[]>();
    for (const task of tasks.values()) {
      if (task.objects === undefined) continue;
      const known = classes.get(task.objects[kind]);
      if (known === undefined) classes.set(task.objects[kind], [task]);
      else known.push(task);
    }
    return [...classes.values()].filter(({ length }) => length > 1).map((members) => ({ kind, tasks: members }));
  });
}
