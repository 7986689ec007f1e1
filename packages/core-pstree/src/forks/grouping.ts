/** Process groups, once every task exists in its session. Members join by themselves: setpgid(0, pgid). */
import { type Ending, fork } from './ops';
import type { ForkOp } from './plan';
import { isLeader, type Shape } from './shape';

export class Grouping {
  readonly rounds: ForkOp[][];
  /** Helpers that found or hold a group; they have to live until the last round. */
  readonly helpers: Ending[] = [];

  /** `born`: the group that each task is in so far. */
  constructor({ tasks, groups }: Shape, born: ReadonlyMap<number, number>, freePid: () => number) {
    const forks: ForkOp[] = [];
    const found: ForkOp[] = [];
    const join: ForkOp[] = [];
    /** Founders that went on to another group, which others stayed behind in. */
    const movers = new Map<number, number>();
    for (const [pgid, members] of groups) {
      found.push({ op: 'setpgid', actor: pgid, pgid });
      const leader = tasks.get(pgid);
      if (leader === undefined) {
        const { pid: parent } = members.find(({ dead }) => !dead) ?? members[0]!;
        forks.push(fork(parent, pgid, { helper: true }));
        this.helpers.push({ pid: pgid, parent });
      } else if (leader.pgid !== pgid) movers.set(pgid, leader.pgid);
    }
    const held = new Set<number>();
    for (const task of tasks.values()) {
      if (isLeader(task) || groups.has(task.pid)) continue;
      held.add(task.pgid);
      if (born.get(task.pid) !== task.pgid) join.push({ op: 'setpgid', actor: task.pid, pgid: task.pgid });
    }
    // Groups of helpers, of session leaders and that of crts do not go away before the end.
    for (const pgid of movers.values()) if (!movers.has(pgid)) held.add(pgid);
    this.rounds = [forks, found, join, ...this.#move(movers, held, freePid)];
  }

  /** A founder leaves its group only when another one is in it: an empty group is gone. */
  #move(movers: Map<number, number>, held: Set<number>, freePid: () => number): ForkOp[][] {
    const rounds: ForkOp[][] = [];
    while (movers.size > 0) {
      let ready = [...movers].filter(([pid]) => held.has(pid));
      if (ready.length === 0) {
        // The founders of these groups changed places in a ring: somebody has to hold one of the groups meanwhile.
        const [pid] = [...movers.keys()];
        const holder = freePid();
        rounds.push([fork(pid!, holder, { helper: true })]);
        this.helpers.push({ pid: holder, parent: pid! });
        held.add(pid!);
        ready = [[pid!, movers.get(pid!)!]];
      }
      rounds.push(ready.map(([actor, pgid]) => ({ op: 'setpgid', actor, pgid })));
      for (const [pid, pgid] of ready) {
        movers.delete(pid);
        held.add(pgid);
      }
    }
    return rounds;
  }
}
