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

/**
 * Orders tried in the first attempt; each further attempt, with other choices first, has twice as many. Honest trees need none or
 * a few; random ones of 200 tasks up to some hundreds.
 */
const TRIES_FIRST = 32;
const ATTEMPTS_MAX = 9;
/** A try costs some walks over all tasks: so many are walked before a hostile image is given up (seconds). */
const WALKS_MAX = 4_000_000;

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

/** For each task or founder, what has to come before it, and on behalf of which task: if that is itself, nothing avoids it. */
type Edges = Map<number, Map<number, number>>;

class Solver {
  readonly #shape: Shape;
  readonly #above = new Map<number, Set<number>>();
  readonly #below = new Map<number, Set<number>>();
  readonly #rules = new Map<number, Rule[]>();
  /** Of the order as it is. */
  readonly #chains = new Map<number, readonly number[]>();
  readonly #trail: [above: number, session: number][] = [];
  /** Sessions whose `above` may have ceased to be a chain. */
  readonly #sessions: number[];
  #triesLeft = 0;
  #attempt = 0;
  #random = 1;
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
    const found = this.#state() ? this.#searchAgain() : undefined;
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
    this.#chains.clear();
    const queue: [number, number][] = [[above, session]];
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      const [high, low] = next;
      if (high === base && low !== base) continue;
      if (high === low || low === base) return false;
      if (this.#above.get(low)!.has(high)) continue;
      if (this.#above.get(high)!.has(low)) return false;
      const higher = [high, ...this.#above.get(high)!];
      for (const lower of [low, ...this.#below.get(low)!]) this.#putAll(higher, lower, queue);
    }
    return true;
  }

  /** The order stays transitive: whoever calls this does so for all that is below `low`. What the rules add goes to the queue. */
  #putAll(higher: readonly number[], low: number, queue: [number, number][]): void {
    const above = this.#above.get(low)!;
    const rules = this.#rules.get(low) ?? [];
    for (const high of higher) {
      if (above.has(high)) continue;
      above.add(high);
      this.#below.get(high)!.add(low);
      this.#trail.push([high, low]);
      for (const rule of rules) if (!(rule.orEqual && rule.session === high)) queue.push([high, rule.session]);
    }
  }

  #undo(length: number): void {
    this.#chains.clear();
    while (this.#trail.length > length) {
      const [high, low] = this.#trail.pop()!;
      this.#above.get(low)!.delete(high);
      this.#below.get(high)!.delete(low);
    }
  }

  /** An early choice that turns out wrong late is found sooner by other choices than by trying all that follow from it. */
  #searchAgain(): Nesting | undefined {
    const mark = this.#trail.length;
    let walks = WALKS_MAX;
    for (this.#attempt = 0; this.#attempt < ATTEMPTS_MAX && walks >= 0; this.#attempt++) {
      const tries = TRIES_FIRST << this.#attempt;
      this.#triesLeft = tries;
      const found = this.#search();
      if (found !== undefined || this.#triesLeft >= 0) return found;
      this.#undo(mark);
      walks -= tries * this.#shape.tasks.size;
      this.#sessions.sort((a, b) => this.#hash(a) - this.#hash(b));
    }
    return undefined;
  }

  /** The same numbers in each run: a plan has to be the same for the same tree. */
  #hash(value: number): number {
    return Math.imul(value ^ (this.#attempt * 0x9e37_79b9), 0x85eb_ca6b) >>> 1;
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
    this.#random = this.#hash(this.#random + 1);
    const order = this.#attempt > 0 && (this.#random & 0x1000) !== 0 ? [...ways].reverse() : ways;
    for (const [high, low] of order) {
      if (--this.#triesLeft < 0) return undefined;
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
  #chain(session: number): readonly number[] {
    return getOr(this.#chains, session, () => {
      const above = this.#above.get(session);
      if (above === undefined) return [];
      const depth = (of: number) => this.#above.get(of)!.size;
      return [...[...above].sort((a, b) => depth(a) - depth(b)), session];
    });
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
      const into = getOr(edges, target, () => new Map<number, number>());
      if (into.get(parent.pid) !== target) into.set(parent.pid, task.pid);
    }
    return edges;
  }

  /** Of the edges of a cycle, those that disappear when the upper task leads a session and is born below the lower one. */
  #waysOut(cycle: readonly number[], edges: Edges): [number, number][] {
    const ways: [number, number][] = [];
    cycle.forEach((lower, i) => {
      const upper = cycle[(i + 1) % cycle.length]!;
      const child = edges.get(lower)!.get(upper)!;
      if (child === lower) return;
      this.#culprit = child;
      const task = this.#shape.tasks.get(upper);
      if (task !== undefined && isLeader(task) && this.#above.has(lower)) ways.push([lower, upper]);
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
