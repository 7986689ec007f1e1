import { getAffinity, setAffinity } from '@crts/native-syscalls';
import { append } from './forks/multimap';

/**
 * Runs `action` with the engine's thread on one CPU: the one of the task that it drives. A switch between two tasks on
 * one CPU takes 4-6 us on the development machine, across CPUs 50-90 (docs/performance.md).
 */
export function onCpu<T>(cpu: number, action: () => T): T {
  const before = getAffinity(0);
  const mask = Buffer.alloc(before.length);
  if (cpu >= 0 && cpu < mask.length * 8 && (before[cpu >> 3]! & (1 << (cpu & 7))) !== 0) {
    mask[cpu >> 3] = 1 << (cpu & 7);
    setAffinity(0, mask);
  }
  try {
    return action();
  } finally {
    setAffinity(0, before);
  }
}

/** The same for many tasks, those of one CPU after each other: the way to another CPU takes longer than most of what is done there. */
export function eachOnCpu<T extends { readonly target: { readonly cpu: number } }, R>(
  tasks: readonly T[],
  action: (task: T) => R,
): R[] {
  const results: R[] = new Array(tasks.length);
  const byCpu = new Map<number, number[]>();
  for (const [index, task] of tasks.entries()) append(byCpu, task.target.cpu, index);
  for (const [cpu, indices] of byCpu)
    onCpu(cpu, () => {
      for (const index of indices) results[index] = action(tasks[index]!);
    });
  return results;
}
