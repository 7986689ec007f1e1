import { setFlagsFromString } from 'node:v8';
import { descriptorNumbers } from '@crts/native-syscalls';
import { isGone } from './proc';

/** A tree with more of anything has code that is worth it. */
const PROCESSES_MAX = 16;
const MAPPINGS_MAX = 2000;
const DESCRIPTORS_MAX = 1000;

/** A process, and how many mappings it has. */
interface Sized {
  readonly pid: number;
  readonly mappings: number;
}

/**
 * V8 compiles what is hot on other threads, and takes the CPU from tasks of which the engine waits for an answer: 12 of 67 ms that
 * ten processes stood still, on two CPUs (docs/performance.md). Code of a small tree is over before it would have been faster. Of a single
 * process it is not worth the time that `node:v8` takes to load.
 */
export function withoutOptimizer<T>(tree: readonly Sized[], action: () => T): T {
  if (tree.length < 2 || !isSmall(tree)) return action();
  setFlagsFromString('--no-turbofan');
  try {
    return action();
  } finally {
    setFlagsFromString('--turbofan');
  }
}

function isSmall(tree: readonly Sized[]): boolean {
  if (tree.length > PROCESSES_MAX) return false;
  let mappings = 0;
  let descriptors = 0;
  for (const task of tree) {
    mappings += task.mappings;
    descriptors += descriptorsOf(task.pid);
  }
  return mappings <= MAPPINGS_MAX && descriptors <= DESCRIPTORS_MAX;
}

function descriptorsOf(pid: number): number {
  try {
    return descriptorNumbers(pid).length;
  } catch (error) {
    if (isGone(error)) return 0;
    throw error;
  }
}
