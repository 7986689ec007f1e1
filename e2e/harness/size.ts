/**
 * Mebibytes of memory for tests whose meaning is their size: `full` with CRTS_E2E_FULL set, else what a machine of CI bears.
 */
export function mebibytes(full: number): number {
  return process.env.CRTS_E2E_FULL === undefined ? Math.min(full, 64) : full;
}
