/** Where the tasks of a restore go. */
import type { Logger, RestoreContext } from '@crts/plugin-api';
import { cgroupMissing } from './errors';
import { withHierarchy } from './hierarchy';
import { type RecordedSets, recordedSets } from './image';
import { readMembership, shareController } from './membership';

export class Places {
  /** By the entries of cgroup.img, which all tasks of a restore are given alike. */
  static readonly #known = new WeakMap<object, Places>();
  readonly #sets: RecordedSets;
  readonly #mustExist: boolean;
  readonly #log: Logger;
  readonly #missed = new Set<string>();
  #rootSet: number | undefined;

  /** Undefined: all tasks stay where crts is. */
  static of(context: RestoreContext): Places | undefined {
    const items = context.items('cgroup');
    if (items.length === 0 || context.options.manageCgroups === 'ignore') return undefined;
    const places = Places.#known.get(items) ?? new Places(context);
    Places.#known.set(items, places);
    return places;
  }

  private constructor(context: RestoreContext) {
    this.#sets = recordedSets(context);
    this.#mustExist = context.options.manageCgroups === 'none';
    this.#log = context.log;
  }

  /** @throws CrtsError when the images have no such set */
  check(set: number): void {
    if (set !== this.#sets.own) this.#sets.of(set);
  }

  /** The root is asked first. Returns the set that the task has to be moved to. */
  setFor(set: number, isRoot: boolean): number | undefined {
    this.check(set);
    const born = isRoot ? this.#sets.own : this.#rootSet;
    if (isRoot) this.#rootSet = set;
    return set === born ? undefined : set;
  }

  /** @throws CrtsError CRTS_CGROUP_MOVE, CRTS_CGROUP_FROZEN, CRTS_CGROUP_MISSING */
  move(hostTid: number, set: number, isThread: boolean): void {
    const own = readMembership('/proc/self');
    const wanted = set === this.#sets.own ? own : this.#sets.of(set);
    const is = readMembership(`/proc/${hostTid}`);
    for (const [recorded, path] of wanted) {
      const name = [...own.keys()].find((one) => shareController(one, recorded));
      if (name === undefined) this.#miss(hostTid, recorded, path);
      else if (is.get(name) !== path)
        withHierarchy(name, (hierarchy) => {
          if (hierarchy.has(path)) hierarchy.move(hostTid, path, isThread);
          else this.#miss(hostTid, name, path);
        });
    }
  }

  #miss(pid: number, hierarchy: string, path: string): void {
    if (this.#mustExist) throw cgroupMissing(pid, hierarchy, path);
    const key = `${hierarchy} ${path}`;
    if (this.#missed.has(key)) return;
    this.#missed.add(key);
    this.#log.warn(
      { pid, path },
      `the cgroup (${hierarchy === '' ? 'version 2' : hierarchy}) is gone: who was in it is in that of crts now`,
    );
  }
}
