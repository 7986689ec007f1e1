import type { ThreadState } from '@crts/plugin-api';
import type * as native from '../index';

type States = ReadonlyMap<number, ThreadState>;

export function examine<T>(
  calls: typeof native,
  pid: number,
  ask: (infection: native.Infection, states: States) => T,
): T;

export function askAll(
  calls: typeof native,
  infection: native.Infection,
  pid: number,
  states: States,
): (native.ThreadRun & {
  readonly id: { readonly value: bigint };
  readonly stack: { read(): Buffer };
})[];
