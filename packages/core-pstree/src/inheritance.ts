/** Which private mappings a task keeps of the task that forks it: docs/adr/0021. */
import type { PageSource, Stage, StoredRun } from '@crts/plugin-api';
import type { ForkPlan } from './forks/plan';
import { FILLED, inStage, MAPPED, type PlanBuilder } from './plan';
import { compare, lengthOf, type PlannedMapping, type Range } from './private-memory';

const USER_END = 0x7fff_ffff_f000n;
/** A mapping is kept where at least one in so many bytes of the parent's pages is stored in the child too. */
const WORTH = 4n;
/** From this size on it is kept only where one in so many samples is equal. */
const SAMPLED_BYTES = 0x4_0000n;
const SAMPLES = 16n;
const WORTH_SAMPLES = 8n;
const PAGE = 4096n;

interface Heir {
  readonly pid: number;
  readonly plan: PlanBuilder;
  /** First of the tasks whose memory it has, by clone(2) with CLONE_VM; itself mostly. */
  readonly memory: number;
}

/**
 * Decides what each task keeps, and adds the passes that its children need before they are forked. `agent` is the area that
 * all tasks leave to their agents.
 */
export function planInheritance(tasks: readonly Heir[], rounds: ForkPlan['rounds'], agent: Range): void {
  const users = new Map<number, number>();
  for (const { memory } of tasks) users.set(memory, (users.get(memory) ?? 0) + 1);
  // Of tasks in one address space any may be the one that forks: their mappings are made when all of them are there.
  const alone = tasks.filter(({ memory }) => users.get(memory) === 1);
  const plans = new Map(alone.map(({ pid, plan }) => [pid, plan]));
  const living = new Set(tasks.map(({ pid }) => pid));
  for (const [pid, parent] of memoryParents(rounds, living)) {
    const [child, from] = [plans.get(pid), plans.get(parent)];
    if (child !== undefined && from !== undefined) keep(child.mappings, from.mappings);
  }
  for (const { plan } of tasks) hurry(plan);
  for (const { pid, plan, memory } of tasks) if (memory === pid) addPasses(plan, agent);
}

/** What is brought late is brought to each task: memory that is to be shared must be there before the forks. */
function hurry({ filler, mappings }: PlanBuilder): void {
  if (filler === undefined || filler.lazy.length === 0) return;
  const shared = mappings.filter(({ isEarly, origin }) => isEarly || origin !== undefined).map(({ range }) => range);
  filler.hurry(shared.sort((a, b) => (a.start < b.start ? -1 : 1)));
}

/** Whose memory each task has when it is forked, parents first: helpers and tasks that are restored dead only pass on what they got. */
function memoryParents(rounds: ForkPlan['rounds'], living: ReadonlySet<number>): Map<number, number> {
  const memory = new Map<number, number>();
  const parents = new Map<number, number>();
  for (const op of rounds.flat()) {
    if (op.op !== 'fork') continue;
    const owner = memory.get(op.actor) ?? op.actor;
    memory.set(op.child, living.has(op.child) ? op.child : owner);
    if (living.has(op.child)) parents.set(op.child, owner);
  }
  return parents;
}

function keep(child: readonly PlannedMapping[], parent: readonly PlannedMapping[]): void {
  if (programOf(child) !== programOf(parent)) return;
  const sorted = [...parent].sort((a, b) => (a.mapping.start < b.mapping.start ? -1 : 1));
  for (const one of child) {
    const origin = around(sorted, one.mapping.start);
    if (origin === undefined || !fits(one, origin)) continue;
    one.origin = origin;
    origin.isEarly = true;
  }
}

/** What a task has since its execve(2): other programs have other places for it, where addresses are random. */
function programOf(mappings: readonly PlannedMapping[]): string {
  return mappings
    .filter(({ mapping }) => mapping.isOfProgram === true)
    .map(({ mapping }) => `${mapping.source} ${mapping.start} ${mapping.end}`)
    .sort()
    .join();
}

/** The last that begins at or before `start`. */
function around(sorted: readonly PlannedMapping[], start: bigint): PlannedMapping | undefined {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]!.mapping.start <= start) low = middle + 1;
    else high = middle;
  }
  return sorted[low - 1];
}

function fits(one: PlannedMapping, origin: PlannedMapping): boolean {
  const { source, end } = one.mapping;
  if (source === undefined || source !== origin.mapping.source || end > origin.mapping.end) return false;
  const theirs = origin.runs(one.range);
  // Without contents it is one call less.
  if (theirs.length === 0) return true;
  const { both } = compare(one.runs(one.range), theirs);
  const bytes = lengthOf(both);
  if (bytes * WORTH < lengthOf(theirs)) return false;
  return bytes < SAMPLED_BYTES || looksEqual(both, bytes, one.filler.pages, origin.filler.pages);
}

/**
 * Memory of programs that were forked before they mapped it lies in the same place and has nothing in common: some pages, evenly
 * spread, tell. They are read from the images.
 */
function looksEqual(both: readonly StoredRun[], bytes: bigint, own: PageSource, theirs: PageSource): boolean {
  let equal = 0;
  let index = 0;
  let before = 0n;
  for (let sample = 0n; sample < SAMPLES; sample++) {
    const wanted = ((bytes / PAGE) * sample) / SAMPLES;
    while (before + both[index]!.lengthBytes <= wanted * PAGE) before += both[index++]!.lengthBytes;
    const addr = both[index]!.addr + wanted * PAGE - before;
    const page = own.read(addr, Number(PAGE));
    const other = theirs.read(addr, Number(PAGE));
    if (page !== undefined && other !== undefined && page.equals(other)) equal += 1;
  }
  return equal * Number(WORTH_SAMPLES) >= Number(SAMPLES);
}

function addPasses(plan: PlanBuilder, agent: Range): void {
  const early = plan.mappings.filter(({ isEarly }) => isEarly);
  const stage = 'inheritance';
  if (early.length > 0) {
    addClearing(plan, stage, agent);
    for (const one of early) {
      const { needs, provides = [] } = one.head;
      plan.pass(inStage(one.head, stage, needs, [...provides, MAPPED]), (program) => one.make(program));
    }
    addFilling(plan, stage);
    addClosing(plan, stage);
  }
  if (plan.mappings.length > 0) addFilling(plan, 'memory');
  addClosing(plan, 'memory');
}

function addFilling(plan: PlanBuilder, stage: Stage): void {
  const head = { plugin: 'engine', stage, what: 'read the pages', needs: [MAPPED], provides: [FILLED] };
  plan.pass(head, (program) => plan.filler?.flush(program));
}

/** Adds the pass that leaves what fork(2) or an earlier stage brought, and the agent. */
export function addClearing(plan: PlanBuilder, stage: 'inheritance' | 'memory', agent: Range): void {
  const head = { plugin: 'engine', stage, what: 'clear the address space', provides: ['mm:cleared'] };
  plan.pass(head, (program) => {
    const isThere = ({ origin, isEarly }: PlannedMapping) => origin !== undefined || (isEarly && stage === 'memory');
    const kept = plan.mappings.filter(isThere).map(({ range }) => range);
    for (const { start, end } of gaps([...kept, agent])) program.call('munmap', [start, end - start]);
  });
}

/** The next program has to take pages files anew: other tasks may be forked in between, which have no use for them. */
function addClosing(plan: PlanBuilder, stage: Stage): void {
  plan.pass({ plugin: 'engine', stage, what: 'close the pages image', needs: ['vmas'] }, (program) => {
    plan.filler?.close(program);
  });
}

/** What the ranges leave of the address space. */
function gaps(ranges: readonly Range[]): Range[] {
  const found: Range[] = [];
  let position = 0n;
  for (const { start, end } of [...ranges].sort((a, b) => (a.start < b.start ? -1 : 1))) {
    if (start > position) found.push({ start: position, end: start });
    if (end > position) position = end;
  }
  if (position < USER_END) found.push({ start: position, end: USER_END });
  return found;
}
