/** Images to plan: every handler adds its passes for every task. No process is made. */
import type { ImageReader, MmEntry } from '@crts/image-io';
import { findFreeArea, stubAreaSize, type YardLayout } from '@crts/native-syscalls';
import {
  CrtsError,
  type ImageItem,
  type Logger,
  type PageSource,
  type RestoreContext,
  vmaResource,
} from '@crts/plugin-api';
import { madeElsewhere } from './borrowed';
import { verifyImages } from './checksums';
import { planClocks, type TimeNamespace } from './clocks';
import type { DescriptorTable } from './descriptor-uses';
import { planDescriptors } from './descriptors';
import { noPluginForImage } from './errors';
import { FileOpener } from './file-planner';
import { type AgentPlaces, placeAgents } from './forks/places';
import { type ForkPlan, planForks } from './forks/plan';
import { HeldObjects } from './held-objects';
import { type ImageSet, readImageSet, type TaskSet } from './image-set';
import { addClearing, planInheritance } from './inheritance';
import { fetchPages, latePages, planWatch } from './lazy';
import { Lender } from './lending';
import { LentNumbers, mostLent } from './lent-numbers';
import { PassOrder } from './pass-order';
import { type CompiledPlan, type CompiledThread, PlanBuilder, type SealStep, ThreadPlanBuilder } from './plan';
import { PlanSealer } from './plan-sealer';
import { PageFiller } from './private-memory';
import { buildRegistry, checkExternal, type Registry, reportUnused } from './registry';
import { RestoreRemaps } from './remaps';
import type { LazyPages, RestoreRequest } from './requests';
import { NUMBERS_PER_TASK, serviceNumbers } from './service-numbers';
import { SIGCHLD } from './signal-numbers';
import { ThreadCompiler } from './thread-compiler';
import { deathSignals, forgetSignal } from './wait-states';

/** Programs of a restore run in batches of this size; of a tree, where each task has an arena, of the smaller. */
const ARENA_BYTES = 1024 * 1024;
const TREE_ARENA_BYTES = 320 * 1024;

/** A stretch of the address space that no task of the tree uses. */
interface Area {
  readonly start: bigint;
  readonly end: bigint;
}

export interface TaskRestore {
  readonly set: TaskSet;
  readonly plan: CompiledPlan;
  /** Threads besides the main one. */
  readonly threads: readonly CompiledThread[];
  readonly filler: PageFiller;
}

export interface TreeRestore {
  readonly set: ImageSet;
  readonly forks: ForkPlan;
  /** Parents before children. */
  readonly tasks: readonly TaskRestore[];
  /** Where the agents have their things: free in every task. */
  readonly layout: YardLayout;
  readonly places: AgentPlaces;
  readonly lender: Lender;
  readonly shared: HeldObjects;
  /** Helper tasks of the plan. */
  readonly helpers: number;
  /** What is done around the restore for files that no path leads to. */
  readonly remaps: RestoreRemaps;
  /** Where the tree is not to have the clocks of crts. */
  readonly clocks: TimeNamespace | undefined;
  readonly registry: Registry;
}

/** Handlers ask once for each entry of theirs: an image is decoded when it is first asked for, and not again. */
function readOnce(reader: ImageReader): (kind: string) => readonly ImageItem[] {
  const known = new Map<string, readonly ImageItem[]>();
  return (kind) => {
    const items = known.get(kind) ?? (reader.has(kind) ? [...reader.items(kind)] : []);
    known.set(kind, items);
    return items;
  };
}

/** `sealing`: programs are encoded as soon as they are compiled, and have no instructions then that could be looked at. */
export function compileRestore(request: RestoreRequest, reader: ImageReader, sealing = false): TreeRestore {
  const registry = buildRegistry(request.plugins);
  checkExternal(registry, request.external);
  if (request.verify === true) verifyImages(registry, reader);
  const set = readImageSet(reader);
  const remaps = RestoreRemaps.plan(reader, registry.remaps, set, request);
  const forks = planTree(set, request, remaps.leaders);
  const helpers = helpersOf(forks);
  const barriers = set.tasks.length + set.dead.length + helpers > 1;
  const clocks = planClocks(reader, set.root.pid, request.log);
  const places = placeAgents(forks);
  const arenaBytes = barriers ? TREE_ARENA_BYTES : ARENA_BYTES;
  const area = agentArea(set, arenaBytes, places.most.vm);
  const items = readOnce(reader);
  const shared = new HeldObjects((shmid) => {
    const pages = registry.pages.openShared(shmid, reader);
    fetchPages(request.plainPages, pages, []);
    return pages;
  });
  const files = new FileOpener(
    set.files,
    registry.fd,
    request,
    request.log,
    set.ttys,
    items,
    shared,
    remaps.files,
    clocks?.shift,
  );
  const lender = new Lender();
  const descriptors = set.tasks.flatMap(({ fdinfo }) => fdinfo);
  const lent = mostLent(set);
  const doorbellNumber = serviceNumbers({
    numbers: descriptors.map(({ fd }) => fd),
    scratchTop: files.scratchTop(descriptors),
    isTree: barriers,
    sharers: places.most.files,
    lent,
  });
  const spareNumber = doorbellNumber + places.most.files * NUMBERS_PER_TASK;
  const layout = { area, doorbellNumber, spareNumber, agents: places.most.vm };
  // The pages image stays open in a task from the first to the last mapping, under a number that is not its own.
  const pagesNumber = (pid: number) => doorbellNumber + places.of(pid).files * NUMBERS_PER_TASK + 1;
  const pagesOf = new Map<number, PageSource>();
  const builders = set.tasks.map((task) => {
    const { pid, owners } = task;
    const pages =
      pagesOf.get(owners.vm) ?? registry.pages.open(owners.vm, reader, { elsewhere: request.lazy !== undefined });
    pagesOf.set(owners.vm, pages);
    const lazy = request.lazy === undefined ? [] : latePages(task, pages, request.lazy, set.tasks.length);
    fetchPages(request.plainPages, pages, lazy);
    const lending = new LentNumbers(spareNumber, lent);
    return new TaskCompiler(
      task,
      task === set.root,
      new PageFiller(pages, pagesNumber(pid), lazy),
      lending,
      deathSignals(pid, set),
    );
  });
  planDescriptors(
    builders
      .filter(({ task }) => task.owners.files === task.pid)
      .map(
        ({ plan, task }): DescriptorTable => ({
          plan,
          fdinfo: task.fdinfo,
          scratch: pagesNumber(task.pid) + 1,
          spare: spareNumber,
        }),
      ),
    new Set(set.tasks.map(({ pid }) => pid)),
    files,
    lender,
  );
  const order = new PassOrder();
  const seal = sealing ? new PlanSealer(arenaBytes, () => compileRestore(quiet(request), reader).tasks) : undefined;
  builders.forEach((builder, index) => {
    const given = { files, options: request, log: request.log, items, agentArea: area, shared };
    builder.addHandlers(registry, given, request.lazy, new ThreadCompiler(order, seal?.threadsOf(index)));
  });
  planInheritance(
    builders.map(({ task: { pid, owners }, plan }) => ({ pid, plan, memory: owners.vm })),
    keepsSharing(request) ? forks.rounds : [],
    area,
  );
  for (const { filler } of builders) fetchPages(request.plainPages, filler.pages, filler.lazy);
  if (!keepsSharing(request)) reportCopies(set.tasks.length, request.log);
  const tasks = builders.map((builder, index) => builder.compile(barriers, order, seal?.stepsOf(index)));
  reportUnused(request.inherit?.unused, request.log, '--inherit-fd');
  return { set, forks, tasks, layout, places, lender, shared, helpers, remaps, registry, clocks };
}

/** For a plan that is compiled once more, to tell what failed: all that there is to say has been said. */
function quiet(request: RestoreRequest): RestoreRequest {
  const silent = () => undefined;
  return { ...request, log: { debug: silent, info: silent, warn: silent }, verify: false };
}

function planTree(
  { tasks, dead, sequence }: ImageSet,
  { shellJob }: RestoreRequest,
  helpers: readonly number[],
): ForkPlan {
  const living = tasks.map(({ pid, ppid, pgid, sid, images, objects, exitSignal }) => {
    const { tc } = images.core as { tc?: { child_subreaper?: boolean } };
    const subreaper = tc?.child_subreaper === true;
    return { pid, ppid, pgid, sid, dead: false, subreaper, objects, ...otherThanUsual(exitSignal) };
  });
  const ended = dead.map(({ pid, ppid, pgid, sid, exitSignal }) => ({
    ...{ pid, ppid, pgid, sid, dead: true, subreaper: false },
    ...otherThanUsual(exitSignal),
  }));
  const members = new Map([...living, ...ended].map((task) => [task.pid, task]));
  // Negative numbers stand for helpers that need no particular pid: the nursery finds them one that nobody else is to get.
  let anonymous = 0;
  return planForks(
    sequence.map((pid) => members.get(pid)!),
    { shellJob, helpers, freePid: () => --anonymous },
  );
}

function otherThanUsual(exitSignal: number): { readonly exitSignal?: number } {
  return exitSignal === SIGCHLD ? {} : { exitSignal };
}

function helpersOf({ rounds }: ForkPlan): number {
  return rounds.flat().filter((op) => op.op === 'fork' && op.helper).length;
}

function agentArea({ tasks, root }: ImageSet, arenaBytes: number, agents: number): Area {
  const taken = tasks.flatMap(({ images }) => (images.mm as MmEntry).vmas).sort((a, b) => (a.start < b.start ? -1 : 1));
  const size = stubAreaSize(arenaBytes, agents);
  const start = findFreeArea(taken, size);
  if (start === undefined)
    throw new CrtsError({
      code: 'CRTS_NO_ADDRESS_SPACE',
      pid: root.pid,
      stage: 'restore',
      what: 'the images leave no room for the agent in the address space',
    });
  return { start, end: start + size };
}

/**
 * A server that waits brings the pages that the images mark, to each task; and what is compressed is not there yet to be compared.
 * Only a server of our own is told what to leave out.
 */
function keepsSharing({ lazy, plainPages }: RestoreRequest): boolean {
  return lazy === undefined || (lazy.isOwn && plainPages?.fill === undefined);
}

function reportCopies(tasks: number, log: Logger): void {
  if (tasks > 1)
    log.warn(
      {},
      'pages that processes share copy-on-write come to each of them: they will take more memory than before',
    );
}

class TaskCompiler {
  readonly plan: PlanBuilder;
  #threads: readonly CompiledThread[] = [];

  constructor(
    readonly task: TaskSet,
    readonly isRoot: boolean,
    readonly filler: PageFiller,
    readonly lending: LentNumbers,
    /** Signals by which it hears of the deaths of the restore. */
    readonly deaths: readonly number[],
  ) {
    this.plan = new PlanBuilder(task.pid, isRoot, madeElsewhere(task), filler);
  }

  compile(barriers: boolean, order: PassOrder, seal: SealStep | undefined): TaskRestore {
    return {
      set: this.task,
      plan: this.plan.compile(barriers, order, seal),
      threads: this.#threads,
      filler: this.filler,
    };
  }

  addHandlers(
    registry: Registry,
    shared: Omit<RestoreContext, 'pages' | 'fillPages'>,
    server: LazyPages | undefined,
    threads: ThreadCompiler,
  ): void {
    const { plan, task, filler } = this;
    const context: RestoreContext = {
      ...shared,
      pages: filler.pages,
      fillPages: (program, start, end) => filler.fill(program, { start, end }),
    };
    if (task.owners.vm === task.pid) {
      addClearing(plan, 'memory', shared.agentArea);
      planMappings(plan, task, registry, context);
      if (server !== undefined) planWatch(plan, task, filler, server);
    }
    if (this.lending.most > 0) this.lending.planOpening(plan);
    // Children and helpers that have ended meanwhile are no news to the program. All signals are blocked, so theirs wait; a
    // standard signal waits once, however many they are (man 7 signal).
    plan.pass({ plugin: 'engine', stage: 'sigchld', what: 'forget the deaths of the restore' }, (program) => {
      for (const signal of this.deaths) forgetSignal(program, signal);
    });
    for (const handler of registry.taskState)
      guard(handler.name, () => {
        handler.plan?.(task.images, plan, context);
        handler.planThread?.(task.images.core, plan, context);
      });
    this.#planThreads(registry, context, threads);
  }

  /** Each is compiled when it is planned: of a thousand, what their handlers made would be kept and moved about until the last. */
  #planThreads({ taskState }: Registry, context: RestoreContext, compiler: ThreadCompiler): void {
    const { pid, threads } = this.task;
    if (threads.length === 0) return;
    const handlers = taskState.filter(({ planThread }) => planThread !== undefined);
    this.#threads = threads.map(({ tid, core }) => {
      const thread = new ThreadPlanBuilder(pid, tid, this.isRoot, this.lending);
      for (const handler of handlers) guard(handler.name, () => handler.planThread!(core, thread, context));
      return compiler.compile(thread.planned);
    });
    this.plan.threads({
      plugin: 'engine',
      stage: 'sigchld',
      what: `make ${threads.length} threads`,
      needs: ['sigactions', 'fs'],
      provides: ['threads'],
    });
    this.lending.planClosing(this.plan);
  }
}

function planMappings(plan: PlanBuilder, { images }: TaskSet, registry: Registry, context: RestoreContext): void {
  for (const entry of (images.mm as MmEntry).vmas) {
    const handler = registry.vma.find((candidate) => candidate.owns(entry));
    if (handler === undefined)
      throw noPluginForImage(`the mapping ${vmaResource(entry.start)} (status 0x${entry.status.toString(16)})`);
    guard(handler.name, () => handler.plan(entry, images, plan, context));
  }
}

function guard(plugin: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    throw error instanceof CrtsError ? error.with({ plugin, stage: 'restore' }) : error;
  }
}
