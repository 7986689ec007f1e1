import type { PlanText, RestoreOutcome, RestoreRequest } from './requests';

/** Compiles the images into a plan and executes it. Throws CrtsError; then nothing of the tree is left. */
export function restoreTree(_request: RestoreRequest): RestoreOutcome {
  throw new Error('in the making');
}

/** Compiles the plan and prints it; no process is made. */
export function explainRestore(_request: RestoreRequest, _explain: boolean): PlanText {
  throw new Error('in the making');
}
