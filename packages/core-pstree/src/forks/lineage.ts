/** Who creates whom: the tree of creators, of which each task's parent has to be an ancestor of the task. */
import { append, getOr } from './multimap';
import type { Nesting } from './nesting';
import { type SharedKind, sharedBy } from './objects';
import { isLeader, type Shape } from './shape';
import { joinSharers } from './sharing';

/**
 * How a task gets to its parent. `child`: the parent creates it. `sibling`: with CLONE_PARENT, by a child of the parent.
 * `orphan`: its creator forks a helper, which forks it and exits when the parent is the nearest subreaper.
 */
export type Birth = 'child' | 'sibling' | 'orphan';

export interface Born {
  readonly pid: number;
  readonly creator: number;
  readonly birth: Birth;
  /** Created before its creator called setsid. */
  readonly early: boolean;
  /** What it shares with its creator. */
  readonly shares: readonly SharedKind[];
}

export interface Lineage {
  /** Creators before what they create; without the root. */
  readonly born: readonly Born[];
  readonly of: ReadonlyMap<number, Born>;
}

export function traceLineage(shape: Shape, nesting: Nesting): Lineage {
  const { root, tasks } = shape;
  const creators = pickCreators(shape, nesting);
  joinSharers(shape, creators, nesting);
  const created = new Map<number, number[]>();
  // Children are listed, and waited for, in the order in which they became children: that of the tree, as far as one creator goes.
  for (const pid of treeOrder(shape)) {
    const creator = creators.get(pid);
    if (creator !== undefined) append(created, creator, pid);
  }
  const order = [root.pid];
  for (let i = 0; i < order.length; i++) order.push(...(created.get(order[i]!) ?? []));
  const held = holders(shape, creators);
  const born: Born[] = [];
  const of = new Map<number, Born>();
  /** The parent that a task is born with, when that is a task or a founder. */
  const firstParent = new Map<number, number>();
  for (const pid of order.slice(1)) {
    const creator = creators.get(pid)!;
    const parent = tasks.get(pid)?.ppid ?? creator;
    let birth: Birth = 'orphan';
    if (parent === creator) birth = 'child';
    else if (firstParent.get(creator) === parent && !held.has(pid)) birth = 'sibling';
    if (birth !== 'orphan') firstParent.set(pid, parent);
    const makesSession = shape.founders.has(creator) || isLeader(tasks.get(creator)!);
    const early = makesSession && creator !== root.pid && nesting.bornIn(pid) !== creator;
    const shares = sharedBy(tasks.get(pid)?.objects, tasks.get(creator)?.objects);
    const entry = { pid, creator, birth, early, shares };
    born.push(entry);
    of.set(pid, entry);
  }
  return { born, of };
}

/** Tasks as they are given, each founder before the first of its session. */
function treeOrder({ tasks, founders }: Shape): Set<number> {
  const order = new Set<number>();
  for (const { pid, sid } of tasks.values()) {
    if (founders.has(sid)) order.add(sid);
    order.add(pid);
  }
  return order;
}

/**
 * Of the members of its session (by birth) that have to be above a task the last one creates it, and the others have to be
 * above that one; the head of the session where there is none.
 */
function pickCreators({ root, base }: Shape, { order, before, bornIn }: Nesting): Map<number, number> {
  const creators = new Map<number, number>();
  const place = new Map(order.map((pid, i) => [pid, i]));
  const above = new Map([...before].map(([pid, set]) => [pid, new Set(set)]));
  for (const pid of [...order].reverse()) {
    if (pid === root.pid) continue;
    let last: number | undefined;
    const needed = above.get(pid) ?? new Set<number>();
    for (const one of needed) if (last === undefined || place.get(one)! > place.get(last)!) last = one;
    const session = bornIn(pid);
    creators.set(pid, last ?? (session === base ? root.pid : session));
    if (last === undefined || needed.size === 1) continue;
    const more = getOr(above, last, () => new Set<number>());
    for (const one of needed) if (one !== last) more.add(one);
  }
  return creators;
}

/** Tasks that have to stay below their creator because something created below them becomes a child of it. */
function holders({ tasks, root }: Shape, creators: ReadonlyMap<number, number>): Set<number> {
  const held = new Set<number>();
  for (const { pid, ppid } of tasks.values()) {
    if (pid === root.pid) continue;
    let at = pid;
    for (let up = creators.get(at)!; up !== ppid; up = creators.get(at)!) at = up;
    if (at !== pid) held.add(at);
  }
  return held;
}
