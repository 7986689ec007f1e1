import type { DumpOutcome, DumpRequest } from './requests';

/** Freezes the tree, writes its images, and kills, thaws or stops it. Throws CrtsError; then the tree runs on as it was. */
export function dumpTree(_request: DumpRequest): DumpOutcome {
  throw new Error('in the making');
}
