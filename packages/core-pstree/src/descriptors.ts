/** Descriptors of the tree: which task opens which description, and which numbers refer to it. */
import type { FdinfoEntry } from '@crts/image-io';
import type { Origin } from '@crts/native-syscalls';
import type {
  Arg,
  FdFinishContext,
  FdGroupContext,
  FdPlanContext,
  GroupMakers,
  LateDescription,
  Program,
  Result,
  Settlement,
} from '@crts/plugin-api';
import {
  type Described,
  type DescriptorTable,
  type Group,
  groupsOf,
  membersOf,
  numbersIn,
  Use,
  useIn,
  usesOf,
} from './descriptor-uses';
import type { Checked } from './file-description';
import type { FileOpener } from './file-planner';
import type { Lender, Loan } from './lending';
import { emitOwner, ownerOf, planOwner } from './signal-owner';

const FD_CLOEXEC = 1;
const O_CLOEXEC = 0o2000000;
const F_DUPFD_CLOEXEC = 1030;

/** Descriptions that one task opens together: one, for most kinds. All have a place. */
type Opening = readonly Described[];

/**
 * Opens each description once, in the first task that has it (stage `resources`), and hands it to the others (stage
 * `sharing`). Temporary descriptors take the lowest free numbers and are gone when a group is open, so a number in
 * use is never one that is still to be given. All that one task opens is one pass: a table may have a hundred thousand.
 */
export function planDescriptors(
  tables: readonly DescriptorTable[],
  pids: ReadonlySet<number>,
  opener: FileOpener,
  lender: Lender,
): void {
  const all = usesOf(tables, opener);
  const parts = new Map(tables.map((table) => [table, finishParts(table, pids, opener, lender)]));
  const contexts = new Map([...parts].map(([table, part]) => [table, groupContext(opener, part)]));
  const openings = new Map(tables.map((table) => [table, [] as Group[]]));
  for (const kept of groupsOf(all, opener)) {
    const group = membersOf(kept);
    const [first] = group as readonly [Described];
    const late = opener.late(first.file);
    if (late !== undefined) {
      planLate(first, late, lender);
      continue;
    }
    const preferred = opener.preferredTask(group.map(({ file }) => file));
    const owner =
      (preferred === undefined ? undefined : tables.find(({ plan }) => plan.pid === preferred)) ?? firstUser(group);
    for (const one of group) one.place = useIn(one.use, owner) ?? new Use(owner, undefined);
    const context = contexts.get(owner)!;
    const makers = opener.makersOf(
      group.map(({ file }) => file),
      context,
    );
    if (makers === undefined) openings.get(owner)!.push(kept);
    else planOpenings(owner, [group], opener, context, planMakers(owner, group, makers));
    const isWhole = group.every(({ place }) => place!.own !== undefined);
    const hasNone = !isWhole && group.every(({ place }) => place!.own === undefined);
    for (const one of group) {
      planSharing(one, opener, lender);
      planFinish(one, hasNone, opener, parts.get(owner)!);
    }
    if (!isWhole) planClosing(owner, group);
  }
  for (const [table, list] of openings) if (list.length > 0) planOpenings(table, list, opener, contexts.get(table)!);
}

/** Of the one that was met first. */
function firstUser(group: readonly Described[]): DescriptorTable {
  return group.reduce((first, one) => (one.rank < first.rank ? one : first)).use.table;
}

/** What opens all that a task opens. */
function planOpenings(
  { plan }: DescriptorTable,
  openings: readonly Group[],
  opener: FileOpener,
  context: FdGroupContext,
  needs: readonly string[] = [],
): void {
  plan.bulk(
    {
      plugin: 'engine',
      stage: 'resources',
      what: 'open its descriptors',
      needs,
      provides: ['fds'],
      isProvided: (name) => isNumberOf(name, openings),
    },
    (next) => {
      for (const kept of openings) {
        const opening = membersOf(kept);
        const program = next();
        program.origin = new OpeningOrigin(opener, opening);
        emitOpening(opening, program, opener, context);
      }
    },
  );
}

function emitOpening(opening: Opening, program: Program, opener: FileOpener, context: FdGroupContext): void {
  const files = opening.map(({ file }) => file);
  const opened = opener.openGroup(program, files, context);
  const isPlaced = opening.length === 1 && opening[0]!.place!.own !== undefined;
  const apart = isPlaced ? opened : opened.map((fd) => setAside(program, fd, context.spare));
  for (let index = 0; index < opening.length; index++) {
    const { file, place } = opening[index]!;
    const fd = apart[index]!;
    if (place!.own !== undefined) {
      emitNumbers(program, fd, place!);
      continue;
    }
    // Nobody here has a number for it later.
    const owned = ownerOf(file, file.id);
    if (owned !== undefined) emitOwner(program, fd, owned);
    place!.lent = fd as Result;
  }
}

/** Returns what the group then needs. */
function planMakers({ plan }: DescriptorTable, group: Opening, makers: GroupMakers): string[] {
  const { what, why } = makers;
  const ids = group.map(({ file }) => file.id);
  const head = {
    plugin: group[0]!.file.handler.name,
    stage: 'resources',
    entry: `files.img id ${ids.join(', ')}`,
  } as const;
  const [begun, made] = [`group ${ids[0]}: begun`, `group ${ids[0]}: made`];
  plan.pass({ ...head, what: `file ${ids.join(', ')}: before others act`, provides: [begun] }, (program) =>
    makers.emit(program),
  );
  plan.hostStep({ ...head, what, why, needs: [begun], provides: [made] }, (step) => makers.run(step));
  return [made];
}

function groupContext(opener: FileOpener, { scratch, spare, pid, pids }: FinishParts): FdGroupContext {
  return opener.groupContext({ scratch, spare, pid, pids });
}

/** `fd:N`: the description whose lowest number is N is open under all of its numbers. */
function isNumberOf(name: string, openings: readonly Group[]): boolean {
  const [, number] = /^fd:(\d+)$/.exec(name) ?? [];
  const isIt = ({ place }: Described) => place!.own?.fd === Number(number);
  return number !== undefined && openings.some((group) => ('file' in group ? isIt(group) : group.some(isIt)));
}

/** Who opens it, for errors and --explain: there is a text when somebody asks. */
class OpeningOrigin implements Origin {
  readonly stage = 'resources';
  readonly #opener: FileOpener;
  readonly #opening: Opening;

  constructor(opener: FileOpener, opening: Opening) {
    this.#opener = opener;
    this.#opening = opening;
  }

  get plugin(): string {
    return this.#opening[0]!.file.handler.name;
  }

  get what(): string {
    const ids = this.#opening.map(({ file }) => file.id);
    const numbers = this.#opening.flatMap(({ place }) => numbersIn(place));
    const path = ids.length === 1 ? this.#opener.pathOf(ids[0]!) : undefined;
    return `fd ${numbers.join(', ')}: ${path ?? `file ${ids.join(', ')}`}`;
  }
}

/** What becomes of a description that is open: its owner, other tasks that have it, what waits for the end. */
function planSharing({ file, use: all, place }: Described, opener: FileOpener, lender: Lender): void {
  const { table: owner, own } = place!;
  const owned = ownerOf(file, file.id);
  if (own !== undefined && owned !== undefined) planOwner(owner.plan, own.fd, owned);
  const settlement = opener.settlement(file);
  // Most descriptions are one task's own.
  if (settlement === undefined && all.next === undefined && all.table === owner) return;
  const loan = lender.loan(owner.plan.pid, place!);
  if (settlement !== undefined) planSettlement(owner, file, settlement, loan, own !== undefined);
  for (let use: Use | undefined = all; use !== undefined; use = use.next)
    if (use.table !== owner && use.own !== undefined) planReceiving(use, loan, owner);
}

function planFinish({ file, use, place }: Described, hasNone: boolean, opener: FileOpener, parts: FinishParts): void {
  const finish = opener.finisher(file);
  if (finish === undefined) return;
  const { own, table } = place!;
  const isInFlightOnly = use.own === undefined;
  if (own === undefined && !isInFlightOnly && !hasNone) return;
  const name = own === undefined ? `file ${file.id}${isInFlightOnly ? ' in flight' : ''}` : `fd ${own.fd}`;
  table.plan.pass(
    { plugin: file.handler.name, stage: 'sharing', what: `${name}: what it refers to`, needs: ['fds'] },
    (program) => finish(program, place!.local, parts),
  );
}

/** Members of a group that only others have are here under a spare number until they took them. */
function planClosing({ plan }: DescriptorTable, opening: Opening): void {
  plan.pass(
    { plugin: 'engine', stage: 'memory', what: 'close what others have now, or what is in flight' },
    (program) => {
      for (const { place } of opening) if (place!.own === undefined) program.call('close', [place!.lent!]);
    },
  );
}

type FinishParts = Omit<FdFinishContext, keyof FdPlanContext>;

function finishParts(
  table: DescriptorTable,
  pids: ReadonlySet<number>,
  opener: FileOpener,
  lender: Lender,
): FinishParts {
  let numbers: FinishParts['numbers'] | undefined;
  return {
    pids,
    // Few kinds ask.
    get numbers() {
      numbers ??= new Map(table.fdinfo.map((entry) => [entry.fd, { id: entry.id, cloexec: cloexec(entry) }]));
      return numbers;
    },
    spare: table.spare,
    scratch: table.scratch,
    pid: table.plan.pid,
    borrow(program, id) {
      const place = opener.described(id)?.place;
      if (place === undefined) return undefined;
      const what = `duplicate file ${id}`;
      if (place.table === table) return program.call('fcntl', [place.local, F_DUPFD_CLOEXEC, table.spare], { what });
      return program.receiveFd(lender.loan(place.table.plan.pid, place).use(), { what });
    },
  };
}

/** Before limits are set, which may be below the numbers. */
function planLate({ file, use: all }: Described, late: LateDescription, lender: Lender): void {
  const loan = lender.opened(() => late.open());
  for (let use: Use | undefined = all; use?.own !== undefined; use = use.next) {
    const held = use;
    loan.use();
    held.table.plan.pass(
      {
        plugin: file.handler.name,
        stage: 'credentials',
        what: `fd ${numbersIn(held).join(', ')}: ${late.what}`,
        entry: `files.img id ${file.id}`,
        provides: ['rlimits'],
      },
      (program) => emitNumbers(program, program.receiveFd(loan, { what: late.what }), held),
    );
  }
  const owned = ownerOf(file, file.id);
  if (all.own !== undefined && owned !== undefined) planOwner(all.table.plan, all.own.fd, owned);
}

/** Its texts are made when somebody asks: each of ten thousand timers has one. */
class SettlementHead {
  readonly stage = 'credentials';
  readonly why = 'from here on the restore touches no file, so none of its own doings is reported to the program';
  readonly #id: number;
  readonly #settlement: Settlement;

  constructor(
    readonly plugin: string,
    id: number,
    settlement: Settlement,
  ) {
    this.#id = id;
    this.#settlement = settlement;
  }

  get what(): string {
    return this.#settlement.what;
  }

  get entry(): string {
    return `files.img id ${this.#id}`;
  }
}

function planSettlement(
  { plan }: DescriptorTable,
  { id, handler }: Checked,
  settlement: Settlement,
  loan: Loan,
  hasNumber: boolean,
): void {
  loan.use();
  // What is in flight only, or of other tasks, is closed here before the end.
  if (!hasNumber)
    plan.hostStep(
      { plugin: 'engine', stage: 'sharing', what: `keep file ${id}`, why: 'no task has a number for it at the end' },
      () => void loan.take(),
    );
  const head = new SettlementHead(handler.name, id, settlement);
  plan.hostStep(head, () => {
    settlement.run(loan.take());
    loan.sent();
  });
}

/** The lowest free numbers, where descriptors are made, may be those that another member of the group gets. */
function setAside(program: Program, fd: Arg, spare: number): Arg {
  const moved = program.call('fcntl', [fd, F_DUPFD_CLOEXEC, spare]);
  program.call('close', [fd]);
  return moved;
}

function planReceiving(use: Use, loan: Loan, owner: DescriptorTable): void {
  const numbers = numbersIn(use);
  loan.use();
  use.table.plan.pass(
    {
      plugin: 'engine',
      stage: 'sharing',
      what: `fd ${numbers.join(', ')}: shared with task ${owner.plan.pid}`,
      provides: ['fds', ...numbers.map((fd) => `fd:${fd}`)],
    },
    (program) => emitNumbers(program, program.receiveFd(loan), use),
  );
}

/** The numbers are in the instructions. */
const GIVE_NUMBER = { what: 'give it its number' };
const GIVE_ANOTHER = { what: 'give it another number too' };

function emitNumbers(program: Program, opened: Arg, { own: first, others }: Use): void {
  program.moveFd(opened, first!.fd, cloexec(first!), GIVE_NUMBER);
  for (const entry of others) program.call('dup3', [first!.fd, entry.fd, cloexec(entry) ? O_CLOEXEC : 0], GIVE_ANOTHER);
}

function cloexec(entry: FdinfoEntry): boolean {
  return (entry.flags & FD_CLOEXEC) !== 0;
}
