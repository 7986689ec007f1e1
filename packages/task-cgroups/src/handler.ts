import type { CoreEntry } from '@crts/image-io';
import type {
  FrozenTask,
  FrozenThread,
  ImageRecord,
  RestoreContext,
  TaskImages,
  TaskPlan,
  TaskStateHandler,
  ThreadPlan,
} from '@crts/plugin-api';
import { OWN_SET, SetImage, setOf } from './image';
import { keyOf, type Membership, parseMembership, readMembership } from './membership';
import { Places } from './places';

const PLUGIN = 'task-cgroups';
const WHY = 'only crts sees all cgroups';

/** A process whose threads are planned, by the context that they have in common. */
interface Process {
  readonly plan: TaskPlan;
  readonly set: number;
  /** Threads that are in another set. */
  readonly strays: { readonly tid: number; readonly set: number }[];
}
const processes = new WeakMap<RestoreContext, Process>();

export const cgroupsHandler = {
  name: PLUGIN,

  dump(task: FrozenTask) {
    return () => {
      if (task.options.manageCgroups === 'ignore') {
        for (const thread of task.threads) note(thread, OWN_SET);
        return;
      }
      // Threads are nearly always in the same.
      const byText = new Map<string, Membership>();
      const known = task.threads.map((thread) => {
        const text = thread.readProc('cgroup');
        const membership = byText.get(text) ?? parseMembership(text);
        byText.set(text, membership);
        return { thread, membership };
      });
      const kinds = [...new Map([...byText.values()].map((membership) => [keyOf(membership), membership])).values()];
      const isThreaded = (hierarchy: string) => new Set(kinds.map((kind) => kind.get(hierarchy))).size > 1;
      const image = SetImage.of(task.tree, () => readMembership('/proc/self'));
      const sets = new Map([...byText.values()].map((one) => [one, image.add(one, isThreaded)]));
      for (const { thread, membership } of known) note(thread, sets.get(membership)!);
    };
  },

  plan({ core }: TaskImages, plan: TaskPlan, context: RestoreContext): void {
    const places = Places.of(context);
    const set = setOf(core as CoreEntry);
    if (places === undefined || set === undefined) return;
    processes.set(context, { plan, set, strays: [] });
    const target = places.setFor(set, plan.isRoot);
    if (target === undefined) return;
    // The root goes before it forks, so that the others are born there; who belongs elsewhere goes then.
    const stage = plan.isRoot ? 'namespaces' : 'forking';
    plan.hostStep({ plugin: PLUGIN, stage, what: `join the cgroups of set ${target}`, why: WHY }, ({ hostPid }) =>
      places.move(hostPid, target, false),
    );
  },

  planThread(record: ImageRecord, { tid, isMain }: ThreadPlan, context: RestoreContext): void {
    const set = setOf(record as CoreEntry);
    const process = processes.get(context);
    if (isMain || process === undefined || set === undefined || set === process.set) return;
    const { plan, strays } = process;
    const places = Places.of(context)!;
    places.check(set);
    if (strays.length === 0)
      plan.hostStep({ plugin: PLUGIN, stage: 'credentials', what: 'threads in cgroups of their own', why: WHY }, () => {
        for (const stray of strays) places.move(stray.tid, stray.set, true);
      });
    strays.push({ tid, set });
  },
} satisfies TaskStateHandler;

function note(thread: FrozenThread, set: number): void {
  (thread.core as CoreEntry).thread_core!.cg_set = set;
}
