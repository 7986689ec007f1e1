/** cgroup.img: sets of memberships, by number. */
import type { CgroupEntry, CgSetEntry, CoreEntry, InventoryEntry } from '@crts/image-io';
import type { ImageRecord, RestoreContext, TreeImages } from '@crts/plugin-api';
import { badCgroups } from './errors';
import { keyOf, type Membership, sorted } from './membership';

/** The number that CRIU gives to the set of who dumps, inventory_entry.root_cg_set. A task of that set goes into that of who restores. */
export const OWN_SET = 1;
const SETS_MAX = 65_536;
/** The kernel has 16 controllers; named hierarchies are few. */
const HIERARCHIES_MAX = 256;
const PATH_MAX = 4096;

/** The image of a dump under construction. It is written when a task is in another set than crts. */
export class SetImage {
  static readonly #known = new WeakMap<TreeImages, SetImage>();
  readonly #numbers: Map<string, number>;
  readonly #entry: CgroupEntry = { sets: [], controllers: [] };

  static of(tree: TreeImages, own: () => Membership): SetImage {
    const image = SetImage.#known.get(tree) ?? new SetImage(tree, own());
    SetImage.#known.set(tree, image);
    return image;
  }

  private constructor(
    readonly tree: TreeImages,
    own: Membership,
  ) {
    this.#numbers = new Map([[keyOf(own), OWN_SET]]);
  }

  /** Returns the number of the set. `isThreaded`: threads of one process are in different cgroups of the hierarchy. */
  add(membership: Membership, isThreaded: (hierarchy: string) => boolean): number {
    const key = keyOf(membership);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    if (this.#numbers.size === 1) this.tree.addItem('cgroup', { value: this.#entry as ImageRecord });
    const id = this.#numbers.size + 1;
    this.#numbers.set(key, id);
    const members = sorted(membership);
    this.#entry.sets.push({ id, ctls: members.map(([name, path]) => ({ name, path })) });
    for (const [name, path] of members) this.#addDirectory(name, path, isThreaded(name));
    return id;
  }

  /** CRIU looks for what is listed here, and makes it. */
  #addDirectory(hierarchy: string, path: string, isThreaded: boolean): void {
    let controller = this.#entry.controllers.find(({ cnames }) => cnames.join() === hierarchy);
    if (controller === undefined) {
      controller = { cnames: hierarchy.split(','), dirs: [] };
      this.#entry.controllers.push(controller);
    }
    if (isThreaded) controller.is_threaded = true;
    const name = path.slice(1);
    if (!controller.dirs.some((directory) => directory.dir_name === name))
      controller.dirs.push({ dir_name: name, children: [], properties: [] });
  }
}

/** The sets of a restore. */
export interface RecordedSets {
  /** The number of the set of who dumped. */
  readonly own: number;
  /** @throws CrtsError CRTS_IMAGE_FIELD, CRTS_IMAGE_REFERENCE */
  of(id: number): Membership;
}

/** @throws CrtsError CRTS_IMAGE_FIELD */
export function recordedSets(context: RestoreContext): RecordedSets {
  const [inventory] = context.items('inventory');
  const [item, more] = context.items('cgroup');
  if (more !== undefined) throw badCgroups('cgroup.img', 'more than one entry');
  const { sets = [] } = (item?.value as CgroupEntry | undefined) ?? {};
  if (sets.length > SETS_MAX) throw badCgroups('sets', `more than ${SETS_MAX}`);
  const byId = new Map(sets.map((set) => [set.id, set]));
  if (byId.size < sets.length) throw badCgroups('sets', 'two of one number');
  return {
    own: (inventory?.value as InventoryEntry | undefined)?.root_cg_set ?? OWN_SET,
    of(id) {
      const set = byId.get(id);
      if (set === undefined) throw badCgroups(`cg_set ${id}`, 'not in cgroup.img', 'CRTS_IMAGE_REFERENCE');
      return readSet(set);
    },
  };
}

function readSet({ id, ctls }: CgSetEntry): Membership {
  if (ctls.length > HIERARCHIES_MAX) throw badCgroups(`set ${id}`, `more than ${HIERARCHIES_MAX} hierarchies`);
  for (const { name, path } of ctls)
    if (!isPath(path))
      throw badCgroups(`set ${id}`, `hierarchy "${name}": the path ${JSON.stringify(path.slice(0, 80))}`);
  return new Map(ctls.map(({ name, path }) => [name, path]));
}

/** It is used below a mount of the cgroups, and must not lead out of it. */
function isPath(path: string): boolean {
  return path.startsWith('/') && path.length < PATH_MAX && !path.includes('\0') && !path.split('/').includes('..');
}

/** Images before CRIU 4 have it in tc, for all threads of the process. */
export function setOf({ tc, thread_core: thread }: CoreEntry): number | undefined {
  return thread?.cg_set ?? tc?.cg_set;
}
