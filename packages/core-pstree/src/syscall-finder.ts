import { closeSync, openSync } from 'node:fs';
import type { MmEntry, VmaEntry } from '@crts/image-io';
import { findSyscall, isSyscallAt, preadFull } from '@crts/native-syscalls';
import { PROT, VMA_STATUS } from '@crts/plugin-api';
import { noSyscallInstruction } from './errors';

const USER_END = 0x7fff_ffff_f000n;
/** Of executable memory that is searched. */
const SEARCH_BYTES = 1024 * 1024;

/** Finds `syscall` instructions in the tasks' own memory, by which the agents' is unmapped: a vdso has one. */
export class SyscallFinder {
  /** Where it was in the task before: tasks of a tree have mostly the same layout. */
  #last: bigint | undefined;

  find(hostPid: number, { vmas }: MmEntry): bigint {
    const code = vmas.filter(({ prot, end }) => (prot & PROT.exec) !== 0 && end < USER_END);
    const last = this.#last;
    if (last !== undefined && code.some(({ start, end }) => start <= last && last < end) && isSyscallAt(hostPid, last))
      return last;
    this.#last = search(hostPid, code);
    return this.#last;
  }
}

function search(hostPid: number, code: readonly VmaEntry[]): bigint {
  const mem = openSync(`/proc/${hostPid}/mem`, 'r');
  try {
    for (const { start, end } of code.toSorted((a, b) => (b.status & VMA_STATUS.vdso) - (a.status & VMA_STATUS.vdso))) {
      const bytes = Buffer.alloc(Math.min(Number(end - start), SEARCH_BYTES));
      try {
        preadFull(mem, bytes, start);
      } catch {
        continue;
      }
      const found = findSyscall(bytes, start);
      if (found !== undefined) return found;
    }
  } finally {
    closeSync(mem);
  }
  throw noSyscallInstruction();
}
