import type { FileLockEntry } from '@crts/image-io';
import { flock } from '@crts/native-syscalls';
import {
  CrtsError,
  type FrozenTask,
  type Program,
  type RestoreContext,
  type TaskImages,
  type TaskPlan,
  type TaskStateHandler,
} from '@crts/plugin-api';
import { LOCK_FLAG, LOCK_TYPE, parseLocks } from './parse';

const F_SETLK = 6;
const F_OFD_SETLK = 37;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

export const locksHandler: TaskStateHandler = {
  name: 'file-locks',

  dump(task: FrozenTask, _program: Program) {
    return () => {
      if (!task.options.fileLocks) return;
      const seen = new Set<number>();
      for (const { fd, id } of task.descriptors) {
        // Every descriptor of one description shows its locks.
        if (seen.has(id)) continue;
        seen.add(id);
        task.images.locks.push(...parseLocks(task.readProc(`fdinfo/${fd}`), task.pid, fd));
      }
    };
  },

  plan(images: TaskImages, plan: TaskPlan, context: RestoreContext): void {
    const locks = (images.locks as FileLockEntry[]).filter((lock) => lock.pid === plan.pid);
    if (locks.length === 0) return;
    if (!context.options.fileLocks) {
      throw new CrtsError({
        code: 'CRTS_FILE_LOCK',
        kind: 'refused',
        plugin: 'file-locks',
        pid: plan.pid,
        path: 'filelocks.img',
        what: `the images hold ${locks.length} file lock(s)`,
        hint: 'Pass --file-locks to restore as well.',
      });
    }
    for (const lock of locks) check(lock);
    plan.pass({ plugin: 'file-locks', stage: 'sigchld', what: `take ${locks.length} file locks` }, (program) => {
      for (const lock of locks) take(program, lock);
    });
  },
};

function check(lock: FileLockEntry): void {
  const kinds: number[] = Object.values(LOCK_FLAG);
  const types: number[] = Object.values(LOCK_TYPE);
  if (kinds.includes(lock.flag) && types.includes(lock.type)) return;
  throw new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: 'file-locks',
    path: 'filelocks.img',
    what: `lock of fd ${lock.fd}: kind ${lock.flag} type ${lock.type}`,
    hint: 'Leases are not carried yet; any other value is damage.',
  });
}

/** Locks are taken without waiting: who waits for a lock that somebody else has got meanwhile would never come back. */
function take(program: Program, lock: FileLockEntry): void {
  const options = { what: `lock of fd ${lock.fd}`, fail: (errno: string | undefined) => taken(lock, errno) };
  if (lock.flag === LOCK_FLAG.flock) {
    program.call('flock', [lock.fd, (lock.type === LOCK_TYPE.WRITE ? LOCK_EX : LOCK_SH) | LOCK_NB], options);
    return;
  }
  const value = flock.encode({ l_type: lock.type, l_start: lock.start, l_len: lock.len });
  program.call('fcntl', [lock.fd, lock.flag === LOCK_FLAG.ofd ? F_OFD_SETLK : F_SETLK, program.bytes(value)], options);
}

function taken(lock: FileLockEntry, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_LOCK_TAKEN',
    plugin: 'file-locks',
    fd: lock.fd,
    what: 'a lock that the task held cannot be taken again',
    errno,
    hint: 'Another process has locked the file since the dump: end it first.',
  });
}
