import type { FileLockEntry } from '@crts/image-io';
import { flock } from '@crts/native-syscalls';
import type { FrozenTask, Program, RestoreContext, TaskImages, TaskPlan, TaskStateHandler } from '@crts/plugin-api';
import { heldLocks } from './collect';
import { badLock, lockedImages, lockNotTaken, lockTaken } from './errors';
import { planBroken, takeLease } from './leases';
import { LEASE_BREAKING, LOCK_FLAG, LOCK_TYPE } from './parse';

const F_SETLK = 6;
const F_OFD_SETLK = 37;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
/** One byte after the last that a lock can cover: OFFSET_MAX + 1, flock64_to_posix_lock(), fs/locks.c. */
const OFFSET_END = 1n << 63n;

export const locksHandler = {
  name: 'file-locks',

  dump(task: FrozenTask, _program: Program) {
    return () => {
      task.images.locks.push(...heldLocks(task));
    };
  },

  plan(images: TaskImages, plan: TaskPlan, context: RestoreContext): void {
    const locks = (images.locks as FileLockEntry[]).filter((lock) => lock.pid === plan.pid);
    if (locks.length === 0) return;
    if (!context.options.fileLocks) throw lockedImages(plan.pid, locks.length);
    for (const lock of locks) check(lock);
    // Closing any descriptor of a file drops the process's POSIX locks on it (man 2 fcntl), so they are taken when
    // everything that opens and closes files is done: the working directory comes last.
    const head = { plugin: 'file-locks', stage: 'sigchld', entry: 'filelocks.img', needs: ['fs'] } as const;
    const whole = locks.filter((lock) => !isBroken(lock));
    if (whole.length > 0)
      plan.pass({ ...head, what: `take ${whole.length} file locks` }, (program) => {
        for (const lock of whole) take(program, lock);
      });
    const broken = locks.filter(isBroken);
    if (broken.length > 0) planBroken(plan, head, broken);
  },
} satisfies TaskStateHandler;

function isBroken({ flag, type }: FileLockEntry): boolean {
  return flag === LOCK_FLAG.lease && (type & LEASE_BREAKING) !== 0;
}

function check(lock: FileLockEntry): void {
  const { fd, flag, type, start, len } = lock;
  const kinds: readonly number[] = Object.values(LOCK_FLAG);
  if (!kinds.includes(flag)) throw badLock(fd, `kind ${flag}`);
  const { READ, WRITE, UNLCK } = LOCK_TYPE;
  const types: readonly number[] = isBroken(lock) ? [READ | LEASE_BREAKING, UNLCK | LEASE_BREAKING] : [READ, WRITE];
  if (!types.includes(type)) throw badLock(fd, `type ${type}`);
  if (start < 0n || len < 0n || start + (len === 0n ? 1n : len) > OFFSET_END)
    throw badLock(fd, `range ${start}+${len} is out of bounds`);
}

/** Locks are taken without waiting: who waits for a lock that somebody else has got meanwhile would never come back. */
function take(program: Program, lock: FileLockEntry): void {
  const { fd, flag, type, start, len } = lock;
  if (flag === LOCK_FLAG.lease) {
    takeLease(program, fd, type);
    return;
  }
  const options = {
    what: `lock of fd ${fd}`,
    fail: (errno: string | undefined) =>
      errno === 'EAGAIN' || errno === 'EACCES' ? lockTaken(fd, errno) : lockNotTaken(fd, errno),
  };
  if (flag === LOCK_FLAG.flock) {
    program.call('flock', [fd, (type === LOCK_TYPE.WRITE ? LOCK_EX : LOCK_SH) | LOCK_NB], options);
    return;
  }
  const value = flock.encode({ l_type: type, l_start: start, l_len: len });
  program.call('fcntl', [fd, flag === LOCK_FLAG.ofd ? F_OFD_SETLK : F_SETLK, program.bytes(value)], options);
}
