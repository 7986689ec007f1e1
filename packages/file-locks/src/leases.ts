/** Leases: man 2 fcntl, F_SETLEASE. */
import { closeSync, constants, openSync } from 'node:fs';
import type { FileLockEntry } from '@crts/image-io';
import type { HostStepContext, PassHead, Program, Result, TaskPlan } from '@crts/plugin-api';
import { leaseNotBroken, leaseNotTaken } from './errors';
import { LEASE_BREAKING, LOCK_TYPE } from './parse';

const F_GETFL = 3;
const F_SETOWN = 8;
const F_SETLEASE = 1024;
const O_ACCMODE = 3;

/**
 * Nobody gets signals of it until the engine says who, in the next stage: the first lease makes the task the owner, where there is none
 * (lease_setup(), fs/locks.c), and it may have had none.
 */
export function takeLease(program: Program, fd: number, type: number): void {
  program.call('fcntl', [fd, F_SETLEASE, type], {
    what: `lease of fd ${fd}`,
    fail: (errno) => leaseNotTaken(fd, errno),
  });
  program.call('fcntl', [fd, F_SETOWN, 0], { what: 'and nobody is told of its end yet' });
}

/**
 * Leases whose end somebody waited for at the dump. The kernel does not say what they were before; it lets their owner give them up, or
 * keep them for reading, as what is left of them says. All of a task are taken before one is broken, since none is given while another is.
 */
export function planBroken(plan: TaskPlan, head: Omit<PassHead, 'what'>, locks: readonly FileLockEntry[]): void {
  const what = `take ${locks.length} leases, and break them`;
  plan.hostStep({ ...head, what, why: 'who opens a file to break a lease must not be stopped by its root' }, (step) => {
    for (const lock of locks) takeAgain(step, lock);
    for (const lock of locks) breakAgain(step, lock);
  });
}

function takeAgain({ run }: HostStepContext, lock: FileLockEntry): void {
  const { fd } = lock;
  let flags: Result | undefined;
  run((program) => {
    flags = program.call('fcntl', [fd, F_GETFL], { what: `how fd ${fd} is open` });
  });
  const access = Number(flags!.value) & O_ACCMODE;
  // A read lease is for a descriptor that only reads, and is never turned into one.
  const wasRead = access === constants.O_RDONLY && becomes(lock) === LOCK_TYPE.UNLCK;
  run((program) => takeLease(program, fd, wasRead ? LOCK_TYPE.READ : LOCK_TYPE.WRITE));
}

function breakAgain({ hostPid }: HostStepContext, lock: FileLockEntry): void {
  const { fd } = lock;
  const access = becomes(lock) === LOCK_TYPE.UNLCK ? constants.O_WRONLY : constants.O_RDONLY;
  let opened: number;
  try {
    opened = openSync(`/proc/${hostPid}/fd/${fd}`, access | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EAGAIN') return;
    throw leaseNotBroken(fd, code);
  }
  closeSync(opened);
  throw leaseNotBroken(fd, undefined);
}

function becomes({ type }: FileLockEntry): number {
  return type & ~LEASE_BREAKING;
}
