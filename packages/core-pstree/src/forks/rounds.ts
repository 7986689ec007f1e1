/** The operations of a plan in rounds: first all tasks are created, then put into groups, then handed up to their parents. */
import { treeShape } from '../errors';
import { Grouping } from './grouping';
import type { Born, Lineage } from './lineage';
import { append, getOr } from './multimap';
import { type Ending, fork } from './ops';
import type { ForkOp, ForkOptions, ForkPlan } from './plan';
import { isLeader, type Shape } from './shape';

/** A helper between a task and the orphans that it creates for one parent. */
interface Shelter {
  readonly pid: number;
  readonly creator: number;
  readonly parent: number;
  readonly orphans: number[];
}

/** What one actor does as soon as it exists. */
interface Script {
  readonly early: ForkOp[];
  readonly late: ForkOp[];
}

export class Rounds {
  readonly #shape: Shape;
  readonly #lineage: Lineage;
  readonly #options: ForkOptions;
  readonly #rounds: ForkOp[][] = [];
  readonly #shelters: Shelter[] = [];
  readonly #taken: Set<number>;

  constructor(shape: Shape, lineage: Lineage, options: ForkOptions) {
    this.#shape = shape;
    this.#lineage = lineage;
    this.#options = options;
    this.#taken = new Set([
      ...shape.tasks.keys(),
      ...shape.founders,
      ...shape.groups.keys(),
      ...(options.helpers ?? []),
    ]);
    for (const { pgid, sid } of shape.tasks.values()) this.#taken.add(pgid).add(sid);
  }

  plan(): ForkPlan {
    const shape = this.#shape;
    const wanted = new Set((this.#options.helpers ?? []).filter((pid) => !shape.tasks.has(pid)));
    const plain = [...wanted].filter((pid) => !shape.founders.has(pid) && !shape.groups.has(pid));
    const group = this.#create(plain);
    const grouping = new Grouping(shape, group, () => this.#freePid());
    this.#rounds.push(...grouping.rounds);
    const kept = this.#keptFounders(wanted);
    const leaving = grouping.helpers.filter(({ pid }) => !wanted.has(pid));
    this.#handUp(leaving);
    for (const founders of this.#foundersByDepth((pid) => !kept.has(pid))) this.#end(this.#rounds, founders);
    const ending: ForkOp[][] = [];
    const staying = grouping.helpers.filter(({ pid }) => wanted.has(pid));
    this.#end(ending, [...staying, ...plain.map((pid) => ({ pid, parent: shape.root.pid }))]);
    for (const founders of this.#foundersByDepth((pid) => kept.has(pid))) this.#end(ending, founders);
    return {
      rounds: this.#rounds.filter(({ length }) => length > 0),
      ending: ending.filter(({ length }) => length > 0),
      outerPgid: shape.outerPgid,
    };
  }

  /** Every task is made as soon as its creator exists. Returns the process group that each is in afterwards. */
  #create(helpers: readonly number[]): Map<number, number> {
    const { root, tasks, founders, outerPgid } = this.#shape;
    const scripts = this.#scripts();
    for (const child of helpers) scripts(root.pid).late.push(fork(root.pid, child, { helper: true }));
    const group = new Map([[root.pid, outerPgid ?? root.pid]]);
    for (let actors = [root.pid]; actors.length > 0; ) {
      const round: ForkOp[] = [];
      const next: number[] = [];
      for (const actor of actors) {
        const { early, late } = scripts(actor);
        const setsid = founders.has(actor) || (tasks.has(actor) && isLeader(tasks.get(actor)!));
        const ops: ForkOp[] = setsid ? [...early, { op: 'setsid', actor }, ...late] : [...early, ...late];
        for (const op of ops) {
          round.push(op);
          if (op.op === 'setsid') group.set(actor, actor);
          if (op.op !== 'fork') continue;
          group.set(op.child, group.get(actor)!);
          next.push(op.child);
        }
      }
      this.#rounds.push(round);
      actors = next;
    }
    return group;
  }

  #scripts(): (actor: number) => Script {
    const scripts = new Map<number, Script>();
    const scriptOf = (actor: number): Script => getOr(scripts, actor, () => ({ early: [], late: [] }));
    const shelters = new Map<string, Shelter>();
    for (const born of this.#lineage.born) {
      const { pid: child, creator, birth, early, shares } = born;
      const script = scriptOf(creator)[early ? 'early' : 'late'];
      if (birth === 'orphan') {
        const shelter = this.#shelter(born, shelters, script);
        shelter.orphans.push(child);
        scriptOf(shelter.pid).late.push(fork(shelter.pid, child, { shares }));
      } else
        script.push(
          fork(creator, child, {
            cloneParent: birth === 'sibling',
            helper: this.#shape.founders.has(child),
            shares,
            exitSignal: birth === 'sibling' ? undefined : this.#shape.tasks.get(child)?.exitSignal,
          }),
        );
    }
    return scriptOf;
  }

  #shelter({ pid, creator, early, shares }: Born, shelters: Map<string, Shelter>, script: ForkOp[]): Shelter {
    const parent = this.#shape.tasks.get(pid)!.ppid;
    const key = `${creator} ${early} ${parent} ${shares.join()}`;
    let shelter = shelters.get(key);
    if (shelter === undefined) {
      shelter = { pid: this.#freePid(), creator, parent, orphans: [] };
      shelters.set(key, shelter);
      this.#shelters.push(shelter);
      script.push(fork(creator, shelter.pid, { helper: true, shares }));
    }
    return shelter;
  }

  /**
   * Orphans go to the nearest living subreaper above (find_new_reaper(), kernel/exit.c), so one parent after the other is made
   * one, the lowest first: what is to be handed further up is still below its helpers then.
   */
  #handUp(leaving: readonly Ending[]): void {
    let off: ForkOp[] = [];
    let more = leaving;
    for (const level of this.#levels()) {
      const parents = new Set(level.map(({ parent }) => parent));
      this.#rounds.push([...off, ...[...parents].map((actor): ForkOp => ({ op: 'subreaper', actor, on: true }))]);
      this.#end(this.#rounds, [...more, ...level.map(({ pid, creator }) => ({ pid, parent: creator }))]);
      off = [...parents].map((actor) => ({ op: 'subreaper', actor, on: false }));
      more = [];
    }
    this.#rounds.push(off);
    this.#end(this.#rounds, more);
  }

  /** Shelters by the height of their future parent in the tree of creators: what has orphans to get and lies below counts. */
  #levels(): Shelter[][] {
    const byParent = new Map<number, Shelter[]>();
    for (const shelter of this.#shelters) append(byParent, shelter.parent, shelter);
    const levels = new Map<number, Shelter[]>();
    this.#upwards((pid, below) => {
      const list = byParent.get(pid);
      if (list === undefined) return below;
      append(levels, below, ...list);
      return below + 1;
    });
    return inOrder(levels);
  }

  #foundersByDepth(which: (pid: number) => boolean): Ending[][] {
    const levels = new Map<number, Ending[]>();
    this.#upwards((pid, below) => {
      if (!this.#shape.founders.has(pid) || !which(pid)) return below;
      append(levels, below, { pid, parent: this.#lineage.of.get(pid)!.creator });
      return below + 1;
    });
    return inOrder(levels);
  }

  /** Walks the tree of creators from below; `visit` gets the greatest result of what the task created. */
  #upwards(visit: (pid: number, below: number) => number): void {
    const below = new Map<number, number>();
    const { born } = this.#lineage;
    for (let i = born.length - 1; i >= 0; i--) {
      const { pid, creator } = born[i]!;
      const result = visit(pid, below.get(pid) ?? 0);
      below.set(creator, Math.max(below.get(creator) ?? 0, result));
    }
    const { pid } = this.#shape.root;
    visit(pid, below.get(pid) ?? 0);
  }

  /** A founder that stays keeps the founders above it: they are its parents. */
  #keptFounders(wanted: ReadonlySet<number>): Set<number> {
    const kept = new Set<number>();
    for (const founder of this.#shape.founders) {
      if (!wanted.has(founder)) continue;
      for (let at = founder; this.#shape.founders.has(at); at = this.#lineage.of.get(at)!.creator) kept.add(at);
    }
    return kept;
  }

  #end(rounds: ForkOp[][], helpers: readonly Ending[]): void {
    rounds.push(helpers.map(({ pid }) => ({ op: 'exit', actor: pid })));
    rounds.push(helpers.map(({ pid, parent }) => ({ op: 'reap', actor: parent, child: pid })));
  }

  #freePid(): number {
    const pid = this.#options.freePid();
    if (this.#taken.has(pid)) throw treeShape(pid, 'the pid offered for a helper is in use by the tree');
    this.#taken.add(pid);
    return pid;
  }
}

function inOrder<T>(levels: ReadonlyMap<number, T>): T[] {
  return [...levels].sort(([a], [b]) => a - b).map(([, level]) => level);
}
