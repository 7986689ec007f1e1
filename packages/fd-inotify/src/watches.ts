/** Adding watches under the numbers that they had. */
import { errnoName } from '@crts/native-syscalls';
import { watchNotAdded, watchOtherNumber } from './errors';
import type { InotifyKernel } from './kernel';
import { maskToAdd } from './mask';

export interface Watch {
  readonly wd: number;
  readonly mask: number;
  /** For errors. */
  readonly name: string;
  /** Gives a path that leads to the very object, and is good until `use` returns. */
  reach<T>(use: (path: string) => T): T;
}

/** Watches that are added and removed again for their numbers' sake, where the kernel cannot be told a number. */
const LOOP_MAX = 1 << 20;
const EVENTS_BYTES = 1 << 16;

/**
 * In the order given where the kernel can be told each number: the next number afterwards is then the one behind the watch
 * that was added last, as it was. Else in ascending order: inotify_add_to_idr() counts upwards.
 */
export function addWatches(kernel: InotifyKernel, watches: readonly Watch[]): void {
  const first = watches[0];
  if (first === undefined) return;
  if (kernel.setNextWd(first.wd) === 0) {
    for (const watch of watches) {
      kernel.setNextWd(watch.wd);
      expectNumber(watch, add(kernel, watch));
    }
    return;
  }
  for (const watch of [...watches].sort((a, b) => a.wd - b.wd)) addByCounting(kernel, watch);
  // Removed watches leave IN_IGNORED; nothing else is in the queue yet.
  while (kernel.queuedBytes() > 0) kernel.read(EVENTS_BYTES);
}

function addByCounting(kernel: InotifyKernel, watch: Watch): void {
  for (let round = 0; round < LOOP_MAX; round++) {
    const wd = add(kernel, watch);
    if (wd >= watch.wd) {
      expectNumber(watch, wd);
      return;
    }
    kernel.remove(wd);
  }
  throw watchOtherNumber(watch.wd, watch.name, LOOP_MAX);
}

function add(kernel: InotifyKernel, { wd, name, mask, reach }: Watch): number {
  const answer = reach((path) => kernel.add(path, maskToAdd(mask, path)));
  if (answer < 0) throw watchNotAdded(wd, name, errnoName(-answer));
  return answer;
}

function expectNumber({ wd, name }: Watch, answer: number): void {
  if (answer !== wd) throw watchOtherNumber(wd, name, answer);
}
