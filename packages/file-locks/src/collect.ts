import type { FileLockEntry } from '@crts/image-io';
import type { FrozenTask } from '@crts/plugin-api';
import { locked, unsupportedLock } from './errors';
import { LOCK_FLAG, parseLocks } from './parse';

/**
 * The locks of a task. Each shows in the fdinfo of the one description that it was taken by, POSIX locks included:
 * __show_fd_locks(), fs/locks.c. So the descriptor of the entry can take it again. Of a description that tasks share, all of
 * them show its locks (not those of POSIX, which are the process's): one takes them, the one that did, if it is there.
 * @throws CrtsError where locks are held and not asked for, or of a kind that is not carried
 */
export function heldLocks(task: FrozenTask): FileLockEntry[] {
  const entries: FileLockEntry[] = [];
  for (const { fd, id, fdinfo } of descriptions(task)) {
    const { locks, unknown } = parseLocks(fdinfo);
    if (locks.length === 0 && unknown === undefined) continue;
    const holder = () => ({ pid: task.pid, fd, path: task.readLink(`fd/${fd}`) });
    if (unknown !== undefined) throw unsupportedLock(holder(), unknown);
    if (locks.length > 0 && !task.options.fileLocks) throw locked(holder());
    const known = sharedLocks(task).get(id);
    for (const { taker, ...lock } of locks) {
      // Of tasks that have the one table, the one that did: others see its number, and a lease's signals go there.
      const pid = task.tableHolders?.includes(taker) === true ? taker : task.pid;
      const entry = { ...lock, pid, fd };
      if (lock.flag === LOCK_FLAG.posix) entries.push(entry);
      else if (known === undefined) entries.push(remember(task, id, entry));
      else if (taker === task.hostPid) giveTo(known, entry);
    }
  }
  return entries;
}

/** Entries of descriptions, by id, for all tasks of a dump. */
const shared = new WeakMap<object, Map<number, FileLockEntry[]>>();

function sharedLocks({ tree }: FrozenTask): Map<number, FileLockEntry[]> {
  const known = shared.get(tree) ?? new Map<number, FileLockEntry[]>();
  shared.set(tree, known);
  return known;
}

function remember(task: FrozenTask, id: number, entry: FileLockEntry): FileLockEntry {
  const all = sharedLocks(task);
  const known = all.get(id);
  if (known === undefined) all.set(id, [entry]);
  else known.push(entry);
  return entry;
}

/** The entry is in the images of another task already; the image of all locks goes by the pid. */
function giveTo(known: FileLockEntry[], { flag, start, len, pid, fd }: FileLockEntry): void {
  const entry = known.find((one) => one.flag === flag && one.start === start && one.len === len);
  if (entry !== undefined) Object.assign(entry, { pid, fd });
}

/** Every descriptor of one description shows the same locks: the lowest one stands for all. */
function* descriptions(task: FrozenTask): Generator<{ fd: number; id: number; fdinfo: string }> {
  const seen = new Set<number>();
  for (const { fd, id, facts } of task.descriptors) {
    if (seen.has(id)) continue;
    seen.add(id);
    yield { fd, id, fdinfo: facts?.fdinfo ?? task.readProc(`fdinfo/${fd}`) };
  }
}
