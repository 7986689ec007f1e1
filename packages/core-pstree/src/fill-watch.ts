/** How far tasks are that read their memory, seen from outside: they are not asked, and lose no time. */
import { readFileSync } from 'node:fs';
import type { TransferProgress } from '@crts/plugin-api';

const PAGE = 4096;

/** Tells of anonymous memory that tasks have more than before. */
export function fillWatch(progress: TransferProgress, hostPids: () => readonly number[]): () => void {
  let told = 0;
  return () => {
    const has = PAGE * hostPids().reduce((sum, pid) => sum + anonymousPages(pid), 0);
    if (has <= told) return;
    progress.add(BigInt(has - told));
    told = has;
  };
}

/** Resident, without those of files and shared memory: man 5 proc. */
function anonymousPages(pid: number): number {
  try {
    const [, resident, shared] = readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ').map(Number);
    return resident! - shared!;
  } catch {
    return 0;
  }
}
