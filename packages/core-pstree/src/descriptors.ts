/** Descriptors of the tree: which task opens which description, and which numbers refer to it. */
import type { FdinfoEntry, FownEntry } from '@crts/image-io';
import type {
  Arg,
  FdFinishContext,
  FdPlanContext,
  FileRecord,
  LateDescription,
  Program,
  Result,
  TaskPlan,
} from '@crts/plugin-api';
import { badImage, ownerGone } from './errors';
import { type FileOpener, O_ASYNC } from './file-planner';
import type { Lender, Loan } from './lending';

const FD_CLOEXEC = 1;
const O_CLOEXEC = 0o2000000;
const F_SETSIG = 10;
const F_SETOWN_EX = 15;
const F_DUPFD_CLOEXEC = 1030;
const SIGNAL_MAX = 64;
const OWNER_TYPES = 2;
const NOBODY: FownEntry = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };
/** Ids that the agent has until the task's own are set. */
const OWN_UID = process.getuid!();
const OWN_EUID = process.geteuid!();
const F_SETFL = 4;
/** O_ASYNC and the other flags that F_SETFL sets: SETFL_MASK, fs/fcntl.c. */
const SETTABLE =
  O_ASYNC | 0o2000 /* O_APPEND */ | 0o4000 /* O_NONBLOCK */ | 0o40000 /* O_DIRECT */ | 0o1000000; /* O_NOATIME */

/** A table of descriptors, and the task that fills it. */
export interface DescriptorTable {
  readonly plan: TaskPlan;
  readonly fdinfo: readonly FdinfoEntry[];
  /** From here on numbers are free while the task is built. */
  readonly spare: number;
  /** A number that is free while descriptors are made. */
  readonly scratch: number;
}

/** Where a description was opened. */
interface Place {
  readonly table: DescriptorTable;
  /** The descriptor in programs of that task; known when the pass that opens it was emitted. */
  readonly local: () => Arg;
  /** Its number, known when it was opened. */
  readonly number: () => number;
}

interface Use {
  readonly table: DescriptorTable;
  readonly entries: FdinfoEntry[];
}

/**
 * Opens each description once, in the first task that has it (stage `resources`), and hands it to the others (stage
 * `sharing`). Temporary descriptors of a pass take the lowest free numbers and are gone when it ends, so a number in
 * use is never one that is still to be given.
 */
export function planDescriptors(
  tables: readonly DescriptorTable[],
  pids: ReadonlySet<number>,
  files: ReadonlyMap<number, FileRecord>,
  opener: FileOpener,
  lender: Lender,
): void {
  const uses = usesOf(tables);
  addInFlight(uses, opener);
  const places = new Map<number, Place>();
  const parts = new Map(tables.map((table) => [table, finishParts(table, pids, places, lender)]));
  for (const ids of groupsOf(uses, opener)) {
    const late = opener.late(ids[0]!);
    if (late !== undefined) {
      planLate(ids[0]!, late, uses, files, opener, lender);
      continue;
    }
    const preferred = opener.preferredTask(ids);
    const first = uses.get(ids[0]!)![0]!.table;
    const owner = tables.find(({ plan }) => plan.pid === preferred) ?? first;
    const hasNone = ids.every((id) => entriesIn(uses, id, owner).length === 0);
    const ordered = [...ids].sort((a, b) => a - b);
    for (const [id, place] of planOpening(owner, pids, ordered, uses, files, opener, lender)) places.set(id, place);
    for (const id of ordered) {
      const finish = opener.finisher(id);
      const own = entriesIn(uses, id, owner)[0];
      const isInFlightOnly = uses.get(id)!.every(({ entries }) => entries.length === 0);
      if (finish === undefined || (own === undefined && !isInFlightOnly && !hasNone)) continue;
      const { handler } = opener.check(id);
      const name = own === undefined ? `file ${id}${isInFlightOnly ? ' in flight' : ''}` : `fd ${own.fd}`;
      owner.plan.pass(
        { plugin: handler.name, stage: 'sharing', what: `${name}: what it refers to`, needs: ['fds'] },
        (program) => finish(program, places.get(id)!.local(), parts.get(owner)!),
      );
    }
  }
}

type FinishParts = Omit<FdFinishContext, keyof FdPlanContext>;

function finishParts(
  table: DescriptorTable,
  pids: ReadonlySet<number>,
  places: ReadonlyMap<number, Place>,
  lender: Lender,
): FinishParts {
  return {
    pids,
    numbers: new Map(table.fdinfo.map((entry) => [entry.fd, { id: entry.id, cloexec: cloexec(entry) }])),
    spare: table.spare,
    scratch: table.scratch,
    pid: table.plan.pid,
    borrow(program, id) {
      const place = places.get(id);
      if (place === undefined) return undefined;
      const what = `duplicate file ${id}`;
      if (place.table === table) return program.call('fcntl', [place.local(), F_DUPFD_CLOEXEC, table.spare], { what });
      return program.receiveFd(lender.loan(place.table.plan.pid, place.number).use(), { what });
    },
  };
}

/** By description, in the order of first use; tables in their order. */
function usesOf(tables: readonly DescriptorTable[]): Map<number, Use[]> {
  const uses = new Map<number, Use[]>();
  for (const table of tables) {
    for (const entry of table.fdinfo) {
      const known = uses.get(entry.id) ?? [];
      if (known.length === 0) uses.set(entry.id, known);
      const last = known.at(-1);
      if (last?.table === table) last.entries.push(entry);
      else known.push({ table, entries: [entry] });
    }
  }
  return uses;
}

/** Where the socket is that brings them, without a number; what they bring comes too. */
function addInFlight(uses: Map<number, Use[]>, opener: FileOpener): void {
  // The loop reaches what it adds.
  for (const [id, [use]] of uses)
    for (const inside of opener.inFlightIn(id))
      if (!uses.has(inside)) uses.set(inside, [{ table: use!.table, entries: [] }]);
}

function groupsOf(uses: ReadonlyMap<number, Use[]>, opener: FileOpener): Iterable<number[]> {
  const groups = new Map<string, number[]>();
  for (const id of uses.keys()) {
    const key = opener.groupOf(id);
    const known = groups.get(key);
    if (known === undefined) groups.set(key, [id]);
    else known.push(id);
  }
  return groups.values();
}

function entriesIn(uses: ReadonlyMap<number, Use[]>, id: number, table: DescriptorTable): readonly FdinfoEntry[] {
  return uses.get(id)!.find((use) => use.table === table)?.entries ?? [];
}

function planOpening(
  owner: DescriptorTable,
  pids: ReadonlySet<number>,
  ids: readonly number[],
  uses: ReadonlyMap<number, Use[]>,
  files: ReadonlyMap<number, FileRecord>,
  opener: FileOpener,
  lender: Lender,
): ReadonlyMap<number, Place> {
  const { handler } = opener.check(ids[0]!);
  const owners = ids.map((id) => ownerOf(files.get(id)!, id));
  const numbers = ids.flatMap((id) => entriesIn(uses, id, owner).map((entry) => entry.fd));
  const only = ids.length === 1 ? ids[0]! : undefined;
  const what = `fd ${numbers.join(', ')}: ${(only === undefined ? undefined : opener.pathOf(only)) ?? `file ${ids.join(', ')}`}`;
  /** Members of the group that only others have: here under a spare number until they took them. */
  const lent: Result[] = [];
  const { scratch, spare, plan } = owner;
  const of = { scratch, spare, pid: plan.pid, pids };
  owner.plan.pass(
    {
      plugin: handler.name,
      stage: 'resources',
      what,
      entry: `files.img id ${ids.join(', ')}`,
      needs: planMakers(plan, ids, opener, of),
      provides: ['fds', ...numbers.map((fd) => `fd:${fd}`)],
    },
    (program) => {
      const opened = opener.openGroup(program, ids, of);
      const isPlaced = only !== undefined && numbers.length > 0;
      const apart = isPlaced ? opened : opened.map((fd) => setAside(program, fd, owner.spare));
      ids.forEach((id, index) => {
        const fd = apart[index]!;
        const entries = entriesIn(uses, id, owner);
        if (entries.length > 0) {
          emitNumbers(program, fd, entries);
          return;
        }
        // Nobody here has a number for it later.
        const owned = owners[index];
        if (owned !== undefined) emitOwner(program, fd, owned);
        lent.push(fd as Result);
      });
    },
  );
  ids.forEach((id, index) => {
    const own = entriesIn(uses, id, owner)[0];
    const owned = owners[index];
    if (own !== undefined && owned !== undefined) planOwner(owner.plan, own.fd, owned);
  });
  const places = new Map<number, Place>();
  let rank = 0;
  for (const id of ids) {
    const own = entriesIn(uses, id, owner)[0];
    const nth = own === undefined ? rank++ : 0;
    const number = () => own?.fd ?? Number(lent[nth]!.value);
    places.set(id, { table: owner, local: () => own?.fd ?? lent[nth]!, number });
    const loan = lender.loan(owner.plan.pid, number);
    planSettlement(owner, id, opener, loan, own !== undefined);
    for (const { table, entries } of uses.get(id)!)
      if (table !== owner && entries.length > 0) planReceiving(table, entries, loan, owner);
  }
  if (rank > 0)
    owner.plan.pass(
      { plugin: 'engine', stage: 'memory', what: 'close what others have now, or what is in flight' },
      (program) => {
        for (const fd of lent) program.call('close', [fd]);
      },
    );
  return places;
}

/** Returns what the group then needs. */
function planMakers(
  plan: TaskPlan,
  ids: readonly number[],
  opener: FileOpener,
  of: Parameters<FileOpener['makersOf']>[1],
): string[] {
  const makers = opener.makersOf(ids, of);
  if (makers === undefined) return [];
  const { handler } = opener.check(ids[0]!);
  const { what, why } = makers;
  const head = { plugin: handler.name, stage: 'resources', entry: `files.img id ${ids.join(', ')}` } as const;
  const [begun, made] = [`group ${ids[0]}: begun`, `group ${ids[0]}: made`];
  plan.pass({ ...head, what: `file ${ids.join(', ')}: before others act`, provides: [begun] }, (program) =>
    makers.emit(program),
  );
  plan.hostStep({ ...head, what, why, needs: [begun], provides: [made] }, (step) => makers.run(step));
  return [made];
}

/** Before limits are set, which may be below the numbers. */
function planLate(
  id: number,
  late: LateDescription,
  uses: ReadonlyMap<number, Use[]>,
  files: ReadonlyMap<number, FileRecord>,
  opener: FileOpener,
  lender: Lender,
): void {
  const loan = lender.opened(() => late.open());
  const held = uses.get(id)!.filter(({ entries }) => entries.length > 0);
  for (const { table, entries } of held) {
    loan.use();
    const numbers = entries.map((entry) => entry.fd).join(', ');
    table.plan.pass(
      {
        plugin: opener.check(id).handler.name,
        stage: 'credentials',
        what: `fd ${numbers}: ${late.what}`,
        entry: `files.img id ${id}`,
        provides: ['rlimits'],
      },
      (program) => emitNumbers(program, program.receiveFd(loan, { what: late.what }), entries),
    );
  }
  const [first] = held;
  const owned = ownerOf(files.get(id)!, id);
  if (first !== undefined && owned !== undefined) planOwner(first.table.plan, first.entries[0]!.fd, owned);
}

function planSettlement(owner: DescriptorTable, id: number, opener: FileOpener, loan: Loan, hasNumber: boolean): void {
  const settlement = opener.settlement(id);
  if (settlement === undefined) return;
  loan.use();
  // What is in flight only, or of other tasks, is closed here before the end.
  if (!hasNumber)
    owner.plan.hostStep(
      { plugin: 'engine', stage: 'sharing', what: `keep file ${id}`, why: 'no task has a number for it at the end' },
      () => void loan.take(),
    );
  owner.plan.hostStep(
    {
      plugin: opener.check(id).handler.name,
      stage: 'credentials',
      what: settlement.what,
      entry: `files.img id ${id}`,
      why: 'from here on the restore touches no file, so none of its own doings is reported to the program',
    },
    () => {
      settlement.run(loan.take());
      loan.sent();
    },
  );
}

/** The lowest free numbers, where descriptors are made, may be those that another member of the group gets. */
function setAside(program: Program, fd: Arg, spare: number): Arg {
  const moved = program.call('fcntl', [fd, F_DUPFD_CLOEXEC, spare]);
  program.call('close', [fd]);
  return moved;
}

function planReceiving(
  table: DescriptorTable,
  entries: readonly FdinfoEntry[],
  loan: Loan,
  owner: DescriptorTable,
): void {
  const numbers = entries.map((entry) => entry.fd).join(', ');
  loan.use();
  table.plan.pass(
    {
      plugin: 'engine',
      stage: 'sharing',
      what: `fd ${numbers}: shared with task ${owner.plan.pid}`,
      provides: ['fds', ...entries.map((entry) => `fd:${entry.fd}`)],
    },
    (program) => emitNumbers(program, program.receiveFd(loan), entries),
  );
}

function emitNumbers(program: Program, opened: Arg, [first, ...others]: readonly FdinfoEntry[]): void {
  program.moveFd(opened, first!.fd, cloexec(first!), { what: `give it number ${first!.fd}` });
  for (const entry of others) {
    program.call('dup3', [first!.fd, entry.fd, cloexec(entry) ? O_CLOEXEC : 0], {
      what: `give it number ${entry.fd} too`,
    });
  }
}

function cloexec(entry: FdinfoEntry): boolean {
  return (entry.flags & FD_CLOEXEC) !== 0;
}

/** What a description does with signals, and who gets them. */
interface Signalling {
  readonly owner: FownEntry;
  /** Status flags, O_ASYNC among them; undefined when it is not set. */
  readonly asyncFlags: number | undefined;
}

function ownerOf(record: FileRecord, id: number): Signalling | undefined {
  const { fown, flags } = record.value as { fown?: FownEntry; flags?: number };
  const asyncFlags = typeof flags === 'number' && (flags & O_ASYNC) !== 0 ? flags & SETTABLE : undefined;
  const owner = fown ?? NOBODY;
  if (asyncFlags === undefined && owner.pid === 0 && owner.signum === 0) return undefined;
  if (owner.signum > SIGNAL_MAX || owner.pid_type > OWNER_TYPES)
    throw badImage('CRTS_IMAGE_FIELD', 'files.img', `file ${id}: impossible owner`);
  return { owner, asyncFlags };
}

/**
 * The owner may be any thread of any task, so all must be there; and none of what the restore does with the description
 * may send a signal. Before the task gives up the right to act for another user: the setter's ids count when a signal is sent.
 */
function planOwner(plan: TaskPlan, fd: number, owned: Signalling): void {
  plan.pass(
    {
      plugin: 'engine',
      stage: 'credentials',
      what: `fd ${fd}: who gets its signals`,
      provides: ['rlimits'],
    },
    (program) => emitOwner(program, fd, owned),
  );
}

/** Signal and owner of SIGIO: man 2 fcntl, F_SETOWN_EX. f_setown() keeps the ids of the caller: fs/fcntl.c. */
function emitOwner(program: Program, fd: Arg, { owner, asyncFlags }: Signalling): void {
  if (owner.signum !== 0) program.call('fcntl', [fd, F_SETSIG, owner.signum]);
  if (owner.pid !== 0) {
    const { uid, euid } = owner;
    const isOther = uid !== OWN_UID || euid !== OWN_EUID;
    if (isOther) program.call('setresuid', [uid, euid, -1], { what: 'set the owner as who set it' });
    const value = Buffer.alloc(8);
    value.writeInt32LE(owner.pid_type, 0);
    value.writeInt32LE(owner.pid, 4);
    program.call('fcntl', [fd, F_SETOWN_EX, program.bytes(value)], {
      what: 'set the owner of its signals',
      fail: (errno) => ownerGone(owner.pid, errno),
    });
    if (isOther) program.call('setresuid', [OWN_UID, OWN_EUID, -1], { what: 'act for crts again' });
  }
  if (asyncFlags !== undefined)
    program.call('fcntl', [fd, F_SETFL, asyncFlags], { what: 'let it send signals (O_ASYNC)' });
}
