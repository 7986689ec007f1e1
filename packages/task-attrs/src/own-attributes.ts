/** What restored tasks have of crts, whose children they are, as long as they get nothing of their own: it is read once a run. */
import { readFileSync } from 'node:fs';
import type { RunOptions } from '@crts/plugin-api';

/** Undefined: the kernel was built without it. */
export interface OwnAttributes {
  readonly oomScoreAdj: number | undefined;
  readonly coredumpFilter: number | undefined;
  readonly loginuid: number | undefined;
}

const known = new WeakMap<RunOptions, OwnAttributes>();

export function ownAttributes(run: RunOptions): OwnAttributes {
  const found = known.get(run) ?? {
    oomScoreAdj: read('oom_score_adj', 10),
    coredumpFilter: read('coredump_filter', 16),
    loginuid: read('loginuid', 10),
  };
  known.set(run, found);
  return found;
}

function read(file: string, radix: number): number | undefined {
  try {
    return Number.parseInt(readFileSync(`/proc/self/${file}`, 'utf8'), radix);
  } catch {
    return undefined;
  }
}
