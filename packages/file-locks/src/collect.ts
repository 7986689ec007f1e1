import type { FileLockEntry } from '@crts/image-io';
import type { FrozenTask } from '@crts/plugin-api';
import { locked, unsupportedLock } from './errors';
import { parseLocks } from './parse';

/**
 * The locks of a task. Each shows in the fdinfo of the one description that it was taken by, POSIX locks included:
 * __show_fd_locks(), fs/locks.c. So the descriptor of the entry can take it again.
 * @throws CrtsError where locks are held and not asked for, or of a kind that is not carried
 */
export function heldLocks(task: FrozenTask): FileLockEntry[] {
  const entries: FileLockEntry[] = [];
  for (const { fd, fdinfo } of descriptions(task)) {
    const { locks, unknown } = parseLocks(fdinfo);
    const holder = () => ({ pid: task.pid, fd, path: task.readLink(`fd/${fd}`) });
    if (unknown !== undefined) throw unsupportedLock(holder(), unknown);
    if (locks.length > 0 && !task.options.fileLocks) throw locked(holder());
    for (const lock of locks) entries.push({ ...lock, pid: task.pid, fd });
  }
  return entries;
}

/** Every descriptor of one description shows the same locks: the lowest one stands for all. */
function* descriptions(task: FrozenTask): Generator<{ fd: number; fdinfo: string }> {
  const seen = new Set<number>();
  for (const { fd, id, facts } of task.descriptors) {
    if (seen.has(id)) continue;
    seen.add(id);
    yield { fd, fdinfo: facts?.fdinfo ?? task.readProc(`fdinfo/${fd}`) };
  }
}
