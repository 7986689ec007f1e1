import { readFileSync } from 'node:fs';
import { rawSyscall } from '@crts/native-syscalls';

const ESRCH = -3;

/**
 * Pids for helpers that need no particular one. The kernel's own choice could be the number of a task that is still to be made:
 * pids made with set_tid do not move its cursor (alloc_pid(), kernel/pid.c). These come from the top, where few are.
 */
export class SparePids {
  readonly #taken: ReadonlySet<number>;
  readonly #isFree: (pid: number) => boolean;
  #last: number;

  constructor(taken: ReadonlySet<number>, last = pidMax(), isFree = isUnused) {
    this.#taken = taken;
    this.#last = last;
    this.#isFree = isFree;
  }

  /** 0, the kernel's choice, where none is free. */
  next(): number {
    while (--this.#last > 0) if (!this.#taken.has(this.#last) && this.#isFree(this.#last)) return this.#last;
    return 0;
  }
}

function pidMax(): number {
  return Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8'));
}

/** Neither a process or thread nor a group. */
function isUnused(pid: number): boolean {
  return rawSyscall('kill', pid, 0) === ESRCH && rawSyscall('kill', -pid, 0) === ESRCH;
}
