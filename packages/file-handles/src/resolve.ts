/** Where a watch or a mark of the images goes: decided before anything is made, reached when the tasks are there. */
import { existsSync } from 'node:fs';
import { encodeName, type FdPlanContext, type RemappedFile } from '@crts/plugin-api';
import { Finder, type WatchedObject } from './finder';
import { handleOf, leadsTo } from './handle';

/** `fh_entry` and what stands beside it. */
export interface RecordedObject {
  readonly device: number;
  readonly ino: bigint;
  readonly entry: {
    readonly bytes: number;
    readonly type: number;
    readonly handle: readonly bigint[];
    readonly path?: string | undefined;
  };
}

export type Target =
  | { readonly kind: 'path'; readonly path: string; readonly isReplaced: boolean }
  /** It has another name than the recorded one, or none. */
  | { readonly kind: 'object'; readonly object: WatchedObject }
  /** An unlinked file that the images carry. */
  | { readonly kind: 'ghost'; readonly file: RemappedFile };

/** The file of the images that was an unlinked inode. */
export type GhostLookup = (device: number, ino: bigint) => RemappedFile | undefined;

/**
 * The object itself counts, its name is for other machines: what was renamed since the dump is followed, and a name
 * that leads to something else is taken only where the object is gone. Undefined: nothing is there.
 */
export function resolveTarget(recorded: RecordedObject, finder: Finder, ghosts: GhostLookup): Target | undefined {
  const { device, ino, entry } = recorded;
  const file = ghosts(device, ino);
  if (file !== undefined) return { kind: 'ghost', file };
  const known = handleOf(entry);
  const handle = known === 'bad' ? undefined : known;
  const { path } = entry;
  if (path !== undefined && handle !== undefined && leadsTo(path, handle))
    return { kind: 'path', path, isReplaced: false };
  const object = { device, ino, handle };
  const opened = finder.open(object);
  if (opened !== undefined) {
    finder.release(opened);
    return { kind: 'object', object };
  }
  if (path === undefined || !existsSync(encodeName(path))) return undefined;
  return { kind: 'path', path, isReplaced: handle !== undefined };
}

/** Gives `use` a path that leads to the object and is good until it returns; undefined when the object has gone meanwhile. */
export function reachTarget<T>(target: Target, finder: Finder, use: (path: string) => T): T | undefined {
  if (target.kind === 'path') return use(target.path);
  if (target.kind === 'ghost') {
    const path = target.file.reach?.();
    return path === undefined ? undefined : use(path);
  }
  const fd = finder.open(target.object);
  if (fd === undefined) return undefined;
  try {
    return use(`/proc/self/fd/${fd}`);
  } finally {
    finder.release(fd);
  }
}

/** Mounts of crts itself, for the time that `use` takes. */
export function withFinder<T>(use: (finder: Finder) => T): T {
  const finder = new Finder({ proc: '/proc/self' });
  try {
    return use(finder);
  } finally {
    finder.close();
  }
}

/** By device and inode, as at the dump. */
export function ghostLookup(context: Pick<FdPlanContext, 'items' | 'remapOf'>): GhostLookup {
  const ghosts = new Map<string, RemappedFile>();
  for (const { value } of context.items('remap-fpath')) {
    const file = context.remapOf(Number(value.orig_id));
    if (file?.was !== undefined) ghosts.set(`${file.was.device}:${file.was.ino}`, file);
  }
  return (device, ino) => ghosts.get(`${device}:${ino}`);
}
