/** Entries of pstree.img are untrusted: checked before anything follows their numbers. */
import type { PstreeEntry } from '@crts/image-io';
import type { CrtsError } from '@crts/plugin-api';
import { badImage } from './errors';

/** Highest pid of any kernel: PID_MAX_LIMIT, include/linux/threads.h. */
const PID_MAX = 4 * 1024 * 1024;
const PATH = 'pstree.img';

/** The root first and parents before their children, as the format wants it: so there is no ring. */
export function checkTree(tree: readonly PstreeEntry[]): readonly PstreeEntry[] {
  if (tree.length === 0) throw reference('the tree is empty');
  const pids = new Set<number>();
  tree.forEach(({ pid, ppid, pgid, sid }, index) => {
    if (!inRange(pid, 1)) throw badImage('CRTS_IMAGE_FIELD', PATH, `pid ${pid} is out of range`);
    if (pids.has(pid)) throw reference(`the process ${pid} is there twice`);
    if (index === 0 ? ppid !== 0 : !pids.has(ppid)) throw reference(`process ${pid} has no parent ${ppid} before it`);
    pids.add(pid);
    // 0 stands for a group or session outside of the pid namespace.
    for (const [name, value] of Object.entries({ pgid, sid }))
      if (!inRange(value, 0))
        throw badImage('CRTS_IMAGE_FIELD', PATH, `${name} ${value} of process ${pid} is out of range`);
  });
  return tree;
}

/** Threads of the living: CRIU 4.2 writes for a zombie whatever number is in its memory. */
export function checkThreads(tree: readonly PstreeEntry[], isDead: (pid: number) => boolean): void {
  const numbers = new Set(tree.map(({ pid }) => pid));
  for (const { pid, threads } of tree) {
    if (isDead(pid)) continue;
    if (threads[0] !== pid) throw reference(`the first thread of process ${pid} is ${threads[0]}`);
    for (const tid of threads.slice(1)) {
      if (!inRange(tid, 1)) throw badImage('CRTS_IMAGE_FIELD', PATH, `thread ${tid} is out of range`);
      if (numbers.has(tid)) throw reference(`the number ${tid} is there twice`);
      numbers.add(tid);
    }
  }
}

function inRange(value: number, least: number): boolean {
  return Number.isInteger(value) && value >= least && value <= PID_MAX;
}

function reference(what: string): CrtsError {
  return badImage('CRTS_IMAGE_REFERENCE', PATH, what);
}
