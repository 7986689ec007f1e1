/** What of a task is made by another one that it shares it with. */
import type { PassHead } from '@crts/plugin-api';
import type { SharedKind } from './forks/objects';
import type { TaskSet } from './image-set';
import type { MadeElsewhere } from './plan';

/** What the passes that make an object provide. */
const PROVIDED: Readonly<Record<SharedKind, readonly string[]>> = {
  vm: ['mm:cleared', 'vmas', 'mm', 'guards'],
  files: ['fds'],
  fs: ['fs'],
  sighand: ['sigactions'],
};

/** Kinds that a task shares with one before it in the tree. */
export function borrowedBy({ pid, owners }: TaskSet): SharedKind[] {
  return (Object.keys(owners) as SharedKind[]).filter((kind) => owners[kind] !== pid);
}

export function madeElsewhere(task: TaskSet): MadeElsewhere | undefined {
  const kinds = borrowedBy(task);
  if (kinds.length === 0) return undefined;
  const given = kinds.flatMap((kind) => PROVIDED[kind]);
  const hasMemory = kinds.includes('vm');
  return {
    given,
    // The engine's own passes of that stage are about descriptors.
    isMade: ({ plugin, stage, provides = [] }: PassHead) =>
      (hasMemory && stage === 'memory' && plugin !== 'engine') || provides.some((name) => given.includes(name)),
  };
}

/**
 * Tasks that may run their programs side by side: of those that share something one at a time. A task that closes a file for a
 * moment, or sets another umask, is not to do so while another one does the same. Who makes what is shared comes last: where
 * that is another root directory, the others have done with the old one.
 */
export function apart<T extends { readonly set: TaskSet }>(tasks: readonly T[]): T[][] {
  const waves: { readonly tasks: T[]; readonly busy: Set<string> }[] = [];
  for (const task of tasks.toReversed()) {
    const objects = Object.entries(task.set.owners).map(([kind, pid]) => `${kind} ${pid}`);
    // Those that share run in order: not before one that came before.
    const last = waves.findLastIndex(({ busy }) => objects.some((object) => busy.has(object)));
    const wave = waves[last + 1] ?? { tasks: [], busy: new Set<string>() };
    if (waves[last + 1] === undefined) waves.push(wave);
    wave.tasks.push(task);
    for (const object of objects) wave.busy.add(object);
  }
  return waves.map((wave) => wave.tasks);
}
