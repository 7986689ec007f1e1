/** Which numbers of which tables refer to a description. */
import type { FdinfoEntry } from '@crts/image-io';
import type { Arg, Result } from '@crts/plugin-api';
import type { Checked, FileOpener } from './file-planner';
import type { PlanBuilder } from './plan';

/** A table of descriptors, and the task that fills it. */
export interface DescriptorTable {
  readonly plan: PlanBuilder;
  readonly fdinfo: readonly FdinfoEntry[];
  /** From here on numbers are free while the task is built. */
  readonly spare: number;
  /** A number that is free while descriptors are made. */
  readonly scratch: number;
}

/** A description, and who has it. */
export interface Described {
  readonly file: Checked;
  /** In the order in which they were met. */
  readonly rank: number;
  readonly use: Use;
  /** Where it is opened, when that is planned; nowhere where it comes late. */
  place: Place | undefined;
}

/** The numbers of a table that refer to a description. */
export interface Use {
  readonly table: DescriptorTable;
  /** None where the description is in flight only. */
  readonly first: FdinfoEntry | undefined;
  others: FdinfoEntry[];
  /** In the next table that has some. */
  next: Use | undefined;
}

/** Where a description was opened. */
export class Place {
  /** Of a description that its task has no number for: what opened it, when that was emitted. */
  lent: Result | undefined;

  /** `use`: the numbers that the task itself has for it. */
  constructor(
    readonly table: DescriptorTable,
    readonly use: Use | undefined,
  ) {}

  /** The lowest number. */
  get own(): FdinfoEntry | undefined {
    return this.use?.first;
  }

  /** The descriptor in programs of that task; known when what opens it was emitted. */
  get local(): Arg {
    return this.own?.fd ?? this.lent!;
  }

  /** Its number, known when it was opened. */
  get number(): number {
    return this.own?.fd ?? Number(this.lent!.value);
  }
}

const NO_OTHERS: FdinfoEntry[] = [];

/** By description, in the order of first use; tables in their order. */
export function usesOf(tables: readonly DescriptorTable[], opener: FileOpener): Map<number, Described> {
  const all = new Map<number, Described>();
  const lasts = new Map<number, Use>();
  for (const table of tables) {
    for (const entry of table.fdinfo) {
      const { id } = entry;
      const known = all.get(id);
      const last = known === undefined ? undefined : (lasts.get(id) ?? known.use);
      if (last?.table === table) {
        if (last.others.length === 0) last.others = [entry];
        else last.others.push(entry);
        continue;
      }
      const use: Use = { table, first: entry, others: NO_OTHERS, next: undefined };
      if (last === undefined) {
        all.set(id, { file: opener.check(id), rank: all.size, use, place: undefined });
        continue;
      }
      last.next = use;
      lasts.set(id, use);
    }
  }
  addInFlight(all, opener);
  return all;
}

/** Where the socket is that brings them, without a number; what they bring comes too. */
function addInFlight(all: Map<number, Described>, opener: FileOpener): void {
  // The loop reaches what it adds.
  for (const { file, use } of all.values())
    for (const inside of opener.inFlightIn(file)) {
      if (all.has(inside)) continue;
      const inFlight: Use = { table: use.table, first: undefined, others: NO_OTHERS, next: undefined };
      all.set(inside, { file: opener.check(inside), rank: all.size, use: inFlight, place: undefined });
    }
}

/** In the order of their first members, each in that of the ids. */
export function groupsOf(all: ReadonlyMap<number, Described>, opener: FileOpener): readonly (readonly Described[])[] {
  const groups: Described[][] = [];
  const byKey = new Map<string, Described[]>();
  for (const one of all.values()) {
    const key = opener.groupOf(one.file);
    const known = key === undefined ? undefined : byKey.get(key);
    if (known !== undefined) {
      known.push(one);
      continue;
    }
    const group = [one];
    groups.push(group);
    if (key !== undefined) byKey.set(key, group);
  }
  for (const group of byKey.values()) group.sort((a, b) => a.file.id - b.file.id);
  return groups;
}

export function useIn(all: Use, table: DescriptorTable): Use | undefined {
  for (let use: Use | undefined = all; use !== undefined; use = use.next) if (use.table === table) return use;
  return undefined;
}

export function numbersIn(use: Use | undefined): number[] {
  return use?.first === undefined ? [] : [use.first, ...use.others].map(({ fd }) => fd);
}
