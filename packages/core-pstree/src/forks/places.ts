/** Where the agents of a restore have their things, so that those of tasks that share descriptors or memory do not meet. */
import type { ForkPlan } from './plan';

/** Ranks among those that the plan ever lets into one table, or one address space: helpers too. */
export interface AgentPlace {
  readonly files: number;
  readonly vm: number;
}

export interface AgentPlaces {
  of(pid: number): AgentPlace;
  /** Most agents in one table of descriptors, and in one address space. */
  readonly most: AgentPlace;
}

const ALONE: AgentPlace = { files: 0, vm: 0 };

export function placeAgents({ rounds, ending }: ForkPlan): AgentPlaces {
  const places = new Map<number, AgentPlace>();
  /** How many there are in the table, and in the address space, of each task. */
  const counts = new Map<number, { files: { count: number }; vm: { count: number } }>();
  const countsOf = (pid: number) => {
    const known = counts.get(pid) ?? { files: { count: 1 }, vm: { count: 1 } };
    counts.set(pid, known);
    return known;
  };
  let files = 1;
  let vm = 1;
  for (const op of [...rounds, ...ending].flat()) {
    if (op.op !== 'fork' || op.shares.length === 0) continue;
    const creator = countsOf(op.actor);
    const own = { files: { count: 1 }, vm: { count: 1 } };
    const place = { ...ALONE };
    if (op.shares.includes('files')) {
      own.files = creator.files;
      place.files = creator.files.count++;
      files = Math.max(files, creator.files.count);
    }
    if (op.shares.includes('vm')) {
      own.vm = creator.vm;
      place.vm = creator.vm.count++;
      vm = Math.max(vm, creator.vm.count);
    }
    counts.set(op.child, own);
    places.set(op.child, place);
  }
  return { of: (pid) => places.get(pid) ?? ALONE, most: { files, vm } };
}
