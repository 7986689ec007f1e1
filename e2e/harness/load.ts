/** Programs that are dumped and restored again and again while they work hard. */
import { must } from './checkpointer';
import type { Target } from './target';
import { until } from './until';

const CYCLES = 20;
/** Time for a test of so many cycles on a machine that is busy with other things. */
export const CYCLES_TIMEOUT_MS = 1_200_000;
/** A machine under load may give the program little of it. */
const PATIENCE_SECONDS = 120;

export interface LoadOptions {
  /** Options of dump and restore. */
  readonly options?: readonly string[];
  /** Options of dump alone. */
  readonly dumpOptions?: readonly string[];
  /**
   * Code of a refusal that the program gets into and out of by itself: the dump is tried again, and the refusals before are as
   * good a test of the program as the cycle is.
   */
  readonly refusedAtTimes?: string;
}

/** `progress` is what the program has done so far, as it says itself; after each restore it does more. */
export async function cyclesUnderLoad(target: Target, progress: () => number, load: LoadOptions = {}): Promise<void> {
  await until('the program to work', () => progress() > 0 || !target.alive(), PATIENCE_SECONDS);
  for (let cycle = 1; cycle <= CYCLES; cycle++) {
    await until('crts to dump', () => dumped(target, load), PATIENCE_SECONDS);
    await target.gone();
    must(target.restore(...(load.options ?? [])));
    const reached = progress();
    const isAhead = () => progress() > reached || !target.alive();
    await until(`the program to work on after restore ${cycle}`, isAhead, PATIENCE_SECONDS);
    if (!target.alive()) throw new Error(`the program is dead after restore ${cycle}: ${target.text().slice(-1000)}`);
  }
}

function dumped(target: Target, { options = [], dumpOptions = [], refusedAtTimes }: LoadOptions): boolean {
  target.clearImages();
  const outcome = target.dump(...options, ...dumpOptions);
  if (refusedAtTimes !== undefined && outcome.stderr.includes(`[${refusedAtTimes}]`)) return false;
  must(outcome);
  return true;
}

/** The number of lines that the program has written. */
export const linesOf = (target: Target) => () => target.text().split('\n').length - 1;
