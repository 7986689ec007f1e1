/** Which kernel objects tasks share: numbers of ids-PID.img. */
import type { TaskKobjIdsEntry } from '@crts/image-io';
import { KCMP, kcmp } from '@crts/native-syscalls';
import type { ClockShift } from '@crts/plugin-api';
import { OWN_TIME_NS } from './clocks';
import { type Objects, SHARED_KINDS, type SharedKind } from './forks/objects';
import type { Target } from './target';

/** Numbers that CRIU gives to what the whole tree shares so far: namespaces. */
const NAMESPACES = {
  pid_ns_id: 1,
  net_ns_id: 2,
  ipc_ns_id: 3,
  uts_ns_id: 4,
  mnt_ns_id: 6,
  user_ns_id: 7,
  cgroup_ns_id: 8,
  time_ns_id: 5,
};
/** 1 is the dumper's own. */
export const ENGINE_IDS: TaskKobjIdsEntry = { vm_id: 1, files_id: 1, fs_id: 1, sighand_id: 1, ...NAMESPACES };
/** Result of kcmp(2): the first is less. */
const LESS = 1;

/** An object met at a task, and its number. */
interface Known {
  readonly pid: number;
  readonly id: number;
}

export interface Identified {
  readonly ids: TaskKobjIdsEntry;
  readonly owners: Objects;
}

/** What stopped processes share. Mappings that others may have changed after the first look are looked at again. */
export function identify(
  targets: readonly Target[],
  clockShift?: ClockShift,
): ({ readonly target: Target } & Identified)[] {
  const ids = new ObjectIds();
  const found = targets.map((target) => ({ target, ...ids.add(target.pid, clockShift) }));
  const shared = new Set(found.filter(({ target, owners }) => owners.vm !== target.pid).map(({ owners }) => owners.vm));
  for (const target of targets) if (shared.has(target.pid)) target.settledWithOthers();
  return found;
}

class ObjectIds {
  readonly #known: Record<SharedKind, Known[]> = { vm: [], files: [], fs: [], sighand: [] };

  /**
   * Numbers for a task that stands still. kcmp(2) orders objects, so that a new one is found by halves.
   * `owners` has the task that was first met with each.
   */
  add(pid: number, clockShift?: ClockShift): Identified {
    const ids = clockShift === undefined ? { ...ENGINE_IDS } : { ...ENGINE_IDS, time_ns_id: OWN_TIME_NS };
    const owners = { vm: pid, files: pid, fs: pid, sighand: pid };
    for (const kind of SHARED_KINDS) {
      const object = this.#find(kind, pid);
      ids[`${kind}_id`] = object.id;
      owners[kind] = object.pid;
    }
    return { ids, owners };
  }

  #find(kind: SharedKind, pid: number): Known {
    const known = this.#known[kind];
    let low = 0;
    for (let high = known.length; low < high; ) {
      const middle = (low + high) >> 1;
      const order = kcmp(known[middle]!.pid, pid, KCMP[kind]);
      if (order === 0) return known[middle]!;
      if (order === LESS) low = middle + 1;
      else high = middle;
    }
    const fresh = { pid, id: ENGINE_IDS[`${kind}_id`] + known.length + 1 };
    known.splice(low, 0, fresh);
    return fresh;
  }
}
