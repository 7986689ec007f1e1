/** Programs that are dumped and restored again and again while they work hard. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { crts, must } from './checkpointer';
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
  /** The dump builds on so many pre-dumps, each on the one before; the program works on between them. */
  readonly preDumps?: number;
  readonly cycles?: number;
}

/** `progress` is what the program has done so far, as it says itself; after each restore it does more. */
export async function cyclesUnderLoad(target: Target, progress: () => number, load: LoadOptions = {}): Promise<void> {
  await until('the program to work', () => progress() > 0 || !target.alive(), PATIENCE_SECONDS);
  for (let cycle = 1; cycle <= (load.cycles ?? CYCLES); cycle++) {
    const parent = await preDumped(target, progress, load);
    await until('crts to dump', () => dumped(target, parent, load), PATIENCE_SECONDS);
    await target.gone();
    await until('crts to restore', () => restored(target, load), PATIENCE_SECONDS);
    const reached = progress();
    const isAhead = () => progress() > reached || !target.alive();
    await until(`the program to work on after restore ${cycle}`, isAhead, PATIENCE_SECONDS);
    if (!target.alive()) throw new Error(`the program is dead after restore ${cycle}: ${target.text().slice(-1000)}`);
  }
}

/** Option that makes the dump build on them. */
async function preDumped(target: Target, progress: () => number, { preDumps = 0 }: LoadOptions): Promise<string[]> {
  let parent: string[] = [];
  for (let number = 0; number < preDumps; number++) {
    const directory = join(target.directory, `pre-${number}`);
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory);
    must(crts('pre-dump', '-t', String(target.pid), '-D', directory, '-o', 'log', '-v4', '--track-mem', ...parent));
    parent = ['--prev-images-dir', `../pre-${number}`];
    const reached = progress();
    await until('the program to work after a pre-dump', () => progress() > reached, PATIENCE_SECONDS);
  }
  return parent;
}

function dumped(
  target: Target,
  parent: string[],
  { options = [], dumpOptions = [], refusedAtTimes }: LoadOptions,
): boolean {
  target.clearImages();
  const outcome = target.dump(...parent, ...options, ...dumpOptions);
  if (refusedAtTimes !== undefined && outcome.stderr.includes(`[${refusedAtTimes}]`)) return false;
  must(outcome);
  return true;
}

/** Between dump and restore the numbers are anyone's: programs that fork all the time bring the kernel back to them sooner or later. */
function restored(target: Target, { options = [] }: LoadOptions): boolean {
  const outcome = target.restore(...options);
  if (outcome.stderr.includes('[CRTS_PID_TAKEN]')) return false;
  must(outcome);
  return true;
}

/** The number of lines that the program has written. */
export const linesOf = (target: Target) => () => target.text().split('\n').length - 1;
