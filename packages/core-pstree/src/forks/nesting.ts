/**
 * Which session each session leader is born in.
 *
 * A task is born in the session of its creator, so the members of a session descend, by creation, from its leader, and the
 * leader from a member of the session that it was born in: sessions form a forest below that of the root. A task's parent is
 * its creator or one of the creator's own creators (a parent changes only towards an ancestor: find_new_reaper(),
 * kernel/exit.c; CLONE_PARENT gives that of the creator). So a tree can be made exactly when sessions nest such that every
 * parent is above its child in the order of creation. Written as a strict order "S lies above T" of sessions, with
 * parent(P) = the session that leader P is born in:
 *
 *   x no leader, parent P no leader:  sid(P) = sid(x), or sid(P) above sid(x)
 *   x no leader, parent P leads:      P leads sid(x), or all that is above P's session is sid(x) or above it
 *   x leads,     parent P no leader:  sid(P) above x's session
 *   x leads,     parent P leads:      all that is above P's session is above x's
 *
 * These have a least solution. What is above one session has to be a chain: where two are not ordered, both orders are tried.
 */
import { treeShape } from '../errors';
import { append, getOr } from './multimap';
import { isLeader, type Shape } from './shape';

/** Orders tried before a tree is given up: an honest one needs none or a few. */
const TRIES_MAX = 20_000;

export interface Nesting {
  /** Session that a task or a founder is born in; of the root its own session. */
  bornIn(pid: number): number;
  /** Members of one session at birth that have to be made before `pid`, in its line of creators. */
  readonly before: ReadonlyMap<number, ReadonlySet<number>>;
  /** Tasks and founders, those that come before others first. */
  readonly order: readonly number[];
}

export function nestSessions(shape: Shape): Nesting {
  return new Solver(shape).solve();
}

interface Rule {
  /** What is above the leader is also above this session. */
  readonly session: number;
  /** ... or is this session itself. */
  readonly orEqual: boolean;
}

/** Value: the edge cannot be avoided by nesting deeper. */
type Edges = Map<number, Map<number, boolean>>;

class Solver {
  readonly #shape: Shape;
  readonly #above = new Map<number, Set<number>>();
  readonly #below = new Map<number, Set<number>>();
  readonly #rules = new Map<number, Rule[]>();
  readonly #trail: [above: number, session: number][] = [];
  /** Sessions whose `above` may have ceased to be a chain. */
  readonly #sessions: number[];
  #tries = 0;
  /** The task that showed the latest contradiction. */
  #culprit: number;

  constructor(shape: Shape) {
    this.#shape = shape;
    this.#culprit = shape.root.pid;
    this.#sessions = [...shape.founders];
    for (const task of shape.tasks.values()) if (isLeader(task) && task !== shape.root) this.#sessions.push(task.pid);
    for (const session of this.#sessions) {
      this.#above.set(session, new Set());
      this.#below.set(session, new Set());
    }
  }

  solve(): Nesting {
    const found = this.#state() ? this.#search() : undefined;
    if (found !== undefined) return found;
    const task = this.#shape.tasks.get(this.#culprit);
    throw treeShape(
      this.#culprit,
      task === undefined
        ? 'no order of forks makes its session'
        : `no order of forks makes it a child of ${task.ppid} in session ${task.sid}`,
    );
  }

  /** States what the tree says. False: it contradicts itself. */
  #state(): boolean {
    const { root, tasks } = this.#shape;
    const facts: [number, number, number][] = [];
    for (const task of tasks.values()) {
      const parent = tasks.get(task.ppid);
      if (parent === undefined || parent === root) continue;
      if (isLeader(parent)) {
        const rule = { session: task.sid, orEqual: !isLeader(task) };
        if (parent.sid !== task.sid) append(this.#rules, parent.pid, rule);
      } else if (isLeader(task) || parent.sid !== task.sid) facts.push([parent.sid, task.sid, task.pid]);
    }
    return facts.every(([above, session, pid]) => {
      this.#culprit = pid;
      return this.#put(above, session);
    });
  }

  /** Adds "above lies above session" and all that follows. False: a contradiction (undo it). */
  #put(above: number, session: number): boolean {
    const { base } = this.#shape;
    const queue: [number, number][] = [[above, session]];
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      const [high, low] = next;
      if (high === base && low !== base) continue;
      if (high === low || low === base) return false;
      const aboveLow = this.#above.get(low)!;
      if (aboveLow.has(high)) continue;
      if (this.#above.get(high)!.has(low)) return false;
      aboveLow.add(high);
      this.#below.get(high)!.add(low);
      this.#trail.push([high, low]);
      for (const higher of this.#above.get(high)!) queue.push([higher, low]);
      for (const lower of this.#below.get(low)!) queue.push([high, lower]);
      for (const rule of this.#rules.get(low) ?? [])
        if (!(rule.orEqual && rule.session === high)) queue.push([high, rule.session]);
    }
    return true;
  }

  #undo(length: number): void {
    while (this.#trail.length > length) {
      const [high, low] = this.#trail.pop()!;
      this.#above.get(low)!.delete(high);
      this.#below.get(high)!.delete(low);
    }
  }

  #search(): Nesting | undefined {
    const fork = this.#unordered();
    if (fork !== undefined) return this.#tryEach([fork, [fork[1], fork[0]]]);
    const edges = this.#edges();
    const { order, rest } = sorted(edges, [...this.#shape.tasks.keys(), ...this.#shape.founders]);
    if (rest.size === 0) return { bornIn: (pid) => this.#bornIn(pid), before: edgeSets(edges), order };
    return this.#tryEach(this.#waysOut(cycleOf(edges, rest), edges));
  }

  #tryEach(ways: readonly (readonly [number, number])[]): Nesting | undefined {
    for (const [high, low] of ways) {
      if (++this.#tries > TRIES_MAX) return undefined;
      const mark = this.#trail.length;
      if (this.#put(high, low)) {
        const found = this.#search();
        if (found !== undefined) return found;
      }
      this.#undo(mark);
    }
    return undefined;
  }

  /** Two sessions above a third that are not ordered. */
  #unordered(): [number, number] | undefined {
    for (const session of this.#sessions) {
      const chain = this.#chain(session);
      for (let i = 1; i < chain.length; i++)
        if (!this.#above.get(chain[i]!)!.has(chain[i - 1]!)) return [chain[i - 1]!, chain[i]!];
    }
    return undefined;
  }

  /** From the highest down to the session itself; the base is left out. */
  #chain(session: number): number[] {
    const above = this.#above.get(session);
    if (above === undefined) return [];
    const depth = (of: number) => this.#above.get(of)!.size;
    return [...[...above].sort((a, b) => depth(a) - depth(b)), session];
  }

  #bornIn(pid: number): number {
    const task = this.#shape.tasks.get(pid);
    if (task !== undefined && (!isLeader(task) || task === this.#shape.root)) return task.sid;
    return this.#chain(pid).at(-2) ?? this.#shape.base;
  }

  /** Per task the members of the same session (by birth) that have to be its creators. */
  #edges(): Edges {
    const { root, tasks, base } = this.#shape;
    const edges: Edges = new Map();
    const born = new Map<number, number>();
    for (const pid of [...tasks.keys(), ...this.#shape.founders]) born.set(pid, this.#bornIn(pid));
    for (const task of tasks.values()) {
      const parent = tasks.get(task.ppid);
      if (parent === undefined || parent === root) continue;
      const at = born.get(task.pid)!;
      const parentAt = born.get(parent.pid)!;
      let target = task.pid;
      if (at !== parentAt) {
        const chain = this.#chain(at);
        // The head of the session just below the parent's on the way to the task: it has to come after the parent.
        target = chain[parentAt === base ? 0 : chain.indexOf(parentAt) + 1]!;
        if (target === parent.pid) continue;
      }
      const into = getOr(edges, target, () => new Map<number, boolean>());
      into.set(parent.pid, target === task.pid || into.get(parent.pid) === true);
    }
    return edges;
  }

  /** Of the edges of a cycle, those that disappear when the upper task leads a session and is born below the lower one. */
  #waysOut(cycle: readonly number[], edges: Edges): [number, number][] {
    this.#culprit = cycle[0]!;
    const ways: [number, number][] = [];
    cycle.forEach((lower, i) => {
      const upper = cycle[(i + 1) % cycle.length]!;
      const task = this.#shape.tasks.get(upper);
      if (task !== undefined && isLeader(task) && this.#above.has(lower) && edges.get(lower)!.get(upper) === false)
        ways.push([lower, upper]);
    });
    return ways;
  }
}

function edgeSets(edges: Edges): Map<number, Set<number>> {
  return new Map([...edges].map(([pid, into]) => [pid, new Set(into.keys())]));
}

/** Topological order (Kahn); `rest` holds what lies on cycles or behind them. */
function sorted(edges: Edges, nodes: readonly number[]): { order: number[]; rest: Set<number> } {
  const after = new Map<number, number[]>();
  const open = new Map<number, number>();
  for (const [pid, into] of edges) {
    open.set(pid, into.size);
    for (const from of into.keys()) {
      append(after, from, pid);
    }
  }
  const order = nodes.filter((pid) => !open.has(pid));
  for (let i = 0; i < order.length; i++)
    for (const next of after.get(order[i]!) ?? []) {
      const left = open.get(next)! - 1;
      open.set(next, left);
      if (left === 0) order.push(next);
    }
  const done = new Set(order);
  return { order, rest: new Set(nodes.filter((pid) => !done.has(pid))) };
}

/** Each of the result comes after the next one, the last after the first. */
function cycleOf(edges: Edges, rest: ReadonlySet<number>): number[] {
  const path: number[] = [];
  const at = new Map<number, number>();
  for (let pid = [...rest][0]!; ; ) {
    const seen = at.get(pid);
    if (seen !== undefined) return path.slice(seen);
    at.set(pid, path.length);
    path.push(pid);
    pid = [...edges.get(pid)!.keys()].find((from) => rest.has(from))!;
  }
}
