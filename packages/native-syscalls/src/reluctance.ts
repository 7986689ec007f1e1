import { addon } from './addon';

/** Bytecode that a function runs through before V8 looks whether to optimise it: flag-definitions.h of Node 20, 22 and 24. */
const USUAL_BUDGET = 66 * 1024;
/** Of a run that is over in a second, most of what V8 optimises on other threads is not worth it: they took half of the CPU time. */
const RELUCTANT_BUDGET = 8 * USUAL_BUDGET;

/** Lets V8 optimise only what is run very often, from now on, in the whole process. */
export function optimizeReluctantly(): void {
  setBudget(RELUCTANT_BUDGET);
}

/** A code cache is for the flags that it was made with. */
export function optimizeAsUsual(): void {
  setBudget(USUAL_BUDGET);
}

/** A Node that does not know it takes longer, nothing else. */
function setBudget(bytes: number): void {
  addon().setFlags(Buffer.from(`--interrupt-budget=${bytes}\0`));
}
