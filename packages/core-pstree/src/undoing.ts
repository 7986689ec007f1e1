import { CrtsError } from '@crts/plugin-api';

/** Does all of them, whatever becomes of one; what goes wrong is listed under the first cause. */
export function undoAll(cause: unknown, steps: readonly (() => void)[]): void {
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      if (cause instanceof CrtsError) cause.cleanup.push(error);
    }
  }
}
