import { type ProgramBuilder, Sealer } from '@crts/native-syscalls';
import type { CompiledPlan, CompiledThread, SealStep } from './plan';
import type { ThreadSealer } from './thread-compiler';

interface Compiled {
  readonly plan: CompiledPlan;
  readonly threads: readonly CompiledThread[];
}

/** Encodes the programs of a restore as they are compiled: docs/adr/0036. */
export class PlanSealer {
  readonly #sealer: Sealer;
  readonly #compileAgain: () => readonly Compiled[];
  #again: readonly Compiled[] | undefined;

  /** `compileAgain` makes the same plans, for a failure to be told of. */
  constructor(arenaBytes: number, compileAgain: () => readonly Compiled[]) {
    this.#sealer = new Sealer(arenaBytes);
    this.#compileAgain = compileAgain;
  }

  /** For the programs of a task, by its index among those that are compiled. */
  stepsOf(index: number): SealStep {
    return (program, at) => this.#sealer.seal(program, () => programOf(this.#recall(index)?.plan, at));
  }

  /** The same for those of its threads. */
  threadsOf(index: number): ThreadSealer {
    return {
      seal: (program, at, which, starts) =>
        this.#sealer.sealThread(program, () => this.#recall(index)?.threads[at]?.[which], starts),
      sealLike: (model, changes, at) =>
        this.#sealer.sealLike(model, changes, () => this.#recall(index)?.threads[at]?.program),
    };
  }

  #recall(index: number): Compiled | undefined {
    try {
      this.#again ??= this.#compileAgain();
    } catch {
      // What is around the images changed meanwhile. The failure is what is to be told of.
      this.#again = [];
    }
    return this.#again[index];
  }
}

function programOf(plan: CompiledPlan | undefined, at: number): ProgramBuilder | undefined {
  const step = plan?.steps[at];
  return step?.kind === 'program' ? step.program : undefined;
}
