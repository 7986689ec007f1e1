import { getAffinity, setAffinity } from '@crts/native-syscalls';

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
