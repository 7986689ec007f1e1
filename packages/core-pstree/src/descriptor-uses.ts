/** Which numbers of which tables refer to a description. */
import type { FdinfoEntry } from '@crts/image-io';
import type { Arg, Result } from '@crts/plugin-api';
import type { Checked } from './file-description';
import type { FileOpener } from './file-planner';
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

const NO_OTHERS: FdinfoEntry[] = [];

/** A description, and who has it. */
export interface Described {
  readonly file: Checked;
  /** In the order in which they were met. */
  readonly rank: number;
  readonly use: Use;
  /** Where it is opened, when that is planned; nowhere where it comes late. */
  place: Use | undefined;
}

/** The numbers of a table that refer to a description. */
export class Use {
  others = NO_OTHERS;
  /** In the next table that has some. */
  next: Use | undefined;
  /** Of a description that is opened here without a number: what opened it, when that was emitted. */
  lent: Result | undefined;

  /** No `own` number where the description is in flight only, or opened for others. */
  constructor(
    readonly table: DescriptorTable,
    readonly own: FdinfoEntry | undefined,
  ) {}

  /** The descriptor in programs of that task; known when what opens it was emitted. */
  get local(): Arg {
    return this.own?.fd ?? this.lent!;
  }

  /** Its number, known when it was opened. */
  get number(): number {
    return this.own?.fd ?? Number(this.lent!.value);
  }
}

/** In the order of first use; tables in their order. */
export function usesOf(tables: readonly DescriptorTable[], opener: FileOpener): Described[] {
  const all: Described[] = [];
  const lasts = new Map<number, Use>();
  for (const table of tables) {
    for (const entry of table.fdinfo) {
      const { id } = entry;
      const file = opener.check(id);
      const last = file.described === undefined ? undefined : (lasts.get(id) ?? file.described.use);
      if (last?.table === table) {
        if (last.others.length === 0) last.others = [entry];
        else last.others.push(entry);
        continue;
      }
      const use = new Use(table, entry);
      if (last === undefined) {
        describe(file, use, all);
        continue;
      }
      last.next = use;
      lasts.set(id, use);
    }
  }
  addInFlight(all, opener);
  return all;
}

function describe(file: Checked, use: Use, all: Described[]): void {
  file.described = { file, rank: all.length, use, place: undefined };
  all.push(file.described);
}

/** Where the socket is that brings them, without a number; what they bring comes too. */
function addInFlight(all: Described[], opener: FileOpener): void {
  // The loop reaches what it adds.
  for (const { file, use } of all)
    for (const id of opener.inFlightIn(file)) {
      const inside = opener.check(id);
      if (inside.described === undefined) describe(inside, new Use(use.table, undefined), all);
    }
}

/** Descriptions that one task opens together; most are alone, and no array is kept for each. */
export type Group = Described | readonly Described[];

export function membersOf(group: Group): readonly Described[] {
  return 'file' in group ? [group] : group;
}

/** In the order of their first members, each in that of the ids. */
export function groupsOf(all: readonly Described[], opener: FileOpener): readonly Group[] {
  const groups: Group[] = [];
  const byKey = new Map<string, Described[]>();
  for (const one of all) {
    const key = opener.groupOf(one.file);
    if (key === undefined) {
      groups.push(one);
      continue;
    }
    const known = byKey.get(key);
    if (known !== undefined) {
      known.push(one);
      continue;
    }
    const group = [one];
    groups.push(group);
    byKey.set(key, group);
  }
  for (const group of byKey.values()) group.sort((a, b) => a.file.id - b.file.id);
  return groups;
}

export function useIn(all: Use, table: DescriptorTable): Use | undefined {
  for (let use: Use | undefined = all; use !== undefined; use = use.next) if (use.table === table) return use;
  return undefined;
}

export function numbersIn(use: Use | undefined): number[] {
  return use?.own === undefined ? [] : [use.own, ...use.others].map(({ fd }) => fd);
}
