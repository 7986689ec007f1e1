import { closeSync, openSync } from 'node:fs';

/**
 * /proc/PID/mem, writable, and /proc/PID/pagemap. Each has the memory that the process had when they were opened: after execve(2) that
 * is gone, or another's, as that of a vfork(2) is its parent's (proc_mem_open(), fs/proc/base.c).
 */
export interface MemoryFiles {
  readonly mem: number;
  readonly pagemap: number;
}

export function openMemory(pid: number): MemoryFiles {
  const mem = openSync(`/proc/${pid}/mem`, 'r+');
  try {
    return { mem, pagemap: openSync(`/proc/${pid}/pagemap`, 'r') };
  } catch (error) {
    closeSync(mem);
    throw error;
  }
}

export function closeMemory({ mem, pagemap }: MemoryFiles): void {
  closeSync(mem);
  closeSync(pagemap);
}
