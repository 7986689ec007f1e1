import type { ImageWriter } from '@crts/image-io';
import { descriptorNumbers, getAffinity, lendTogether, openAll, type RemoteTask } from '@crts/native-syscalls';
import type { PageStats } from '@crts/plugin-api';
import { bindToEngine } from './binding';
import { writeChecksums } from './checksums';
import { clockShift } from './clocks';
import { addGuards, askProcess, askThread, collectMappings } from './collect';
import { eachOnCpu, onCpu } from './cpu';
import { FileTable } from './file-table';
import { append } from './forks/multimap';
import type { FrozenTree } from './freeze';
import { FrozenPages } from './frozen-pages';
import { type FrozenSession, onTree, refuseTree } from './frozen-session';
import { Frozen } from './frozen-task';
import { identify } from './object-ids';
import { PageHelp } from './page-help';
import { type ParentSet, startTracking } from './parent-set';
import { threadsOf } from './proc';
import { type Registry, reportUnused } from './registry';
import { rehearse } from './rehearsal';
import { DumpRemaps } from './remaps';
import type { DumpOutcome, DumpRequest, LatePages } from './requests';
import { refuseOutsiders, refuseSharing } from './sharing';
import type { Target } from './target';
import { TASK_IMAGES, TREE_IMAGES, writeImages } from './tree-images';
import { undoAll } from './undoing';
import { askForContinued, noteContinued, noteExitSignals, noteUntold, reportThreadParents } from './wait-states';

const SIGSET_SIZE = 8;

/** Freezes the tree, writes its images, and kills, thaws or stops it. Throws CrtsError; then the tree runs on as it was. */
export function dumpTree(request: DumpRequest): DumpOutcome {
  const outcome = onTree(request, (session) => {
    refuseOutsiders(request.pid);
    prepareImages(session.writer, session.tree, request.outlet !== undefined);
    rehearse(session.registry, request, session.tree.root);
    return dumpFrozen(session);
  });
  reportUnused(request.external?.unused, request.log, '--external');
  return outcome;
}

/** Makes the files of the processes that are known now, so that less is left to do while the tree stands still. */
function prepareImages(writer: ImageWriter, { known }: FrozenTree, withoutPages: boolean): void {
  const kinds = withoutPages ? TASK_IMAGES.filter((kind) => kind !== 'pagemap') : TASK_IMAGES;
  const tasks = known.flatMap((pid) => kinds.map((kind) => [kind, pid] as const));
  const threads = known.flatMap((pid) =>
    threadsOf(pid)
      .filter((tid) => tid !== pid)
      .map((tid) => ['core', tid] as const),
  );
  const pages = withoutPages ? [] : known.map((_, index) => ['pages', index + 1] as const);
  const tables = known.map((_, index) => ['fdinfo', index + 2] as const);
  writer.prepare([...TREE_IMAGES, ...tasks, ...threads, ...tables, ...pages], openAll);
}

/** One agent for each address space. */
function infectAll(members: readonly Member[]): void {
  const targets = new Map(members.map(({ target }) => [target.pid, target]));
  const hosts = members.filter(({ task }) => task.owners.vm === task.pid);
  eachOnCpu(hosts, ({ target }) => target.infect());
  for (const { target, task } of members)
    if (task.owners.vm !== task.pid) target.infectAsGuest(targets.get(task.owners.vm)!);
}

/** A process and what is known of it. */
interface Member {
  readonly target: Target;
  readonly task: Frozen;
  /** Starts of mappings of which it is known what was written since the parent set. */
  readonly tracked: ReadonlySet<bigint>;
  readonly numbers: readonly number[];
}

function dumpFrozen(session: FrozenSession): DumpOutcome {
  const { request, registry, tree, writer, parent } = session;
  const { log, pid } = request;
  const started = process.hrtime.bigint();
  onCpu(tree.root.cpu, () => tree.freeze(request.timeoutSeconds));
  const frozen = process.hrtime.bigint();
  log.info({ pid }, `frozen: ${describe(tree)}`);
  const remaps = new DumpRemaps(registry.remaps, writer);
  const pids = [...tree.targets, ...tree.zombies].map((one) => one.pid);
  using files = new FileTable(registry.fd, pids, remaps);
  const members = enroll(session, files);
  infectAll(members);
  log.info({ pid }, 'the agents are in');
  noteUntold(members);
  for (const { target, task, numbers } of members) files.addDescriptors(task, target.pidfd, numbers);
  files.finish();
  const memory = process.hrtime.bigint();
  if (request.trackMem === true) parent.tracker.leaveParent();
  const tasks = members.map(({ task }) => task);
  const stats = dumpTasks(session, members);
  noteExitSignals(tasks);
  reportThreadParents(tasks, log);
  writePages(members, stats, request.progress);
  let pagesId = members.length;
  for (const [shmid, object] of files.sharedMemory)
    stats.push({
      ...registry.pages.dumpShared({ ...object, shmid, pagesId: ++pagesId }, writer, request.outlet),
      guards: [],
    });
  const written = process.hrtime.bigint();
  const pagesWritten = sumOf(stats.map((one) => one.pagesWritten));
  log.info({ pid, pages: pagesWritten }, 'memory written');
  let ended = 0n;
  const thaw = () => {
    eachOnCpu(members, ({ target }) => target.cure());
    // A task may run on this very CPU at once: the time is taken before.
    ended = process.hrtime.bigint();
    tree.detach(request.finalState === 'leave-stopped');
  };
  // A program that runs on need not wait for the small images; one that is to end or to stay stopped does until all are in
  // place: should that fail, it is to run.
  const serve = request.serveLazily;
  if (request.finalState === 'leave-running' && serve === undefined) thaw();
  const goesOn = request.finalState !== 'kill';
  const tracker = request.trackMem === true && goesOn ? parent.tracker.hold(pid) : undefined;
  const { zombies, sequence } = tree;
  writeImages(writer, { tasks, zombies, sequence, files }, tracker);
  const finish = () => {
    request.outlet?.finish();
    parent.link();
    if (request.checksum === true) writeChecksums(writer);
    writer.commit(request.sync);
    if (serve !== undefined) serveLate(writer, members, stats, serve);
    if (request.finalState === 'leave-stopped' || (goesOn && serve !== undefined)) thaw();
    if (goesOn) return;
    parent.tracker.leaveParent();
    end(tree, () => {
      // What is killed is not frozen any more; that its memory is given back takes 25-60 ms a GiB.
      ended = process.hrtime.bigint();
    });
  };
  // A program that runs on has its files itself.
  if (request.finalState === 'leave-running') finish();
  else remaps.around(finish);
  log.info({ pid }, `images complete, ${request.finalState === 'kill' ? 'the tree is gone' : 'the tree goes on'}`);
  return {
    freezingTimeUs: Number((frozen - started) / 1000n),
    frozenTimeUs: Number((ended - frozen) / 1000n),
    memdumpTimeUs: Number((written - memory) / 1000n),
    memwriteTimeUs: Number((written - memory) / 1000n),
    pagesScanned: sumOf(stats.map((one) => one.pagesScanned)),
    pagesWritten,
  };
}

/** What tasks store themselves, side by side, with the engine's help: docs/adr/0034. */
function writePages(members: readonly Member[], stats: readonly PageStats[], progress: DumpRequest['progress']): void {
  const writers = stats.flatMap(({ writing }, index) =>
    writing === undefined ? [] : [{ ...members[index]!, writing }],
  );
  const [only] = writers;
  if (only === undefined) return;
  const help = new PageHelp(getAffinity(0));
  const write = () => {
    for (let part = 0; writers.some(({ writing }) => part < writing.parts.length); part++) {
      const jobs = writers.filter(({ writing }) => part < writing.parts.length);
      lendTogether(
        jobs.map(({ target, writing: { fd, parts } }) => ({
          // Who has no agent of its own shares its memory, and stores none.
          task: target.infection.task as RemoteTask,
          fd,
          build: (program, file) => parts[part]!.emit(program, file),
        })),
        help.meanwhile,
      );
      for (const { writing } of jobs) progress?.add(writing.parts[part]!.bytes);
    }
    for (const { writing } of writers) writing.finish();
  };
  if (writers.length === 1) onCpu(only.target.cpu, write);
  else write();
  progress?.end();
}

function describe({ root, targets, zombies }: FrozenTree): string {
  const { comm, vmas } = root.facts;
  if (targets.length === 1 && zombies.length === 0) return `${comm}, ${vmas.length} mappings`;
  return `${comm}, ${targets.length} processes, ${zombies.length} dead ones`;
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0);
}

/** Looks at every process, and refuses the tree before anything in it is touched. */
function enroll(session: FrozenSession, files: FileTable): Member[] {
  const { request, tree, parent } = session;
  const shift = clockShift(tree.root.pid);
  const identified = identify(tree.targets, shift);
  const views = new Map<number, ReturnType<ParentSet['view']>>();
  const members = identified.map(({ target, ids, owners }, index) => {
    const { pid } = target;
    const view = views.get(owners.vm) ?? parent.view(target);
    views.set(owners.vm, view);
    const { vmas, tracked } = view;
    const ppid = tree.parentOf(pid);
    const place = { ppid, pagesId: index + 1, ids, owners, vmas, clockShift: shift };
    const task = new Frozen(request, target, files, place);
    // A table is described once. The numbers are asked for before the agent is in: it has a descriptor too.
    return { target, task, tracked, numbers: owners.files === pid ? descriptorNumbers(pid) : [] };
  });
  const tasks = members.map(({ task }) => task);
  const holders = new Map<number, number[]>();
  for (const { hostPid, owners } of tasks) append(holders, owners.files, hostPid);
  for (const task of tasks) if (holders.get(task.pid)?.length !== 1) task.tableHolders = holders.get(task.pid);
  refuseTree(session, tasks);
  refuseSharing(tasks, tree);
  return members;
}

/** Who restores takes the memory that the images lack. Should that fail, the tree runs on, and the images are none. */
function serveLate(
  writer: ImageWriter,
  members: readonly Member[],
  stats: readonly PageStats[],
  serve: (pages: LatePages) => void,
): void {
  try {
    serve(new FrozenPages(members.map(({ task }, index) => ({ task, stretches: stats[index]!.later ?? [] }))));
  } catch (error) {
    writer.retract();
    throw error;
  }
}

/** Processes that are asked before the answers of one are read: they run meanwhile, on other CPUs. */
const AHEAD = 8;

/** State, threads, mappings and memory of all. All descriptors of the tree are known. */
function dumpTasks(session: FrozenSession, members: readonly Member[]): PageStats[] {
  const [only] = members;
  if (members.length === 1) return [onCpu(only!.target.cpu, () => dumpTask(session, only!, ask(session, only!)))];
  const asked: Asked[] = [];
  const stats: PageStats[] = [];
  const parents = new Set(members.map(({ task }) => task.ppid));
  try {
    for (const member of members) {
      while (asked.length < members.length && asked.length < stats.length + AHEAD)
        asked.push(ask(session, members[asked.length]!, parents));
      stats.push(dumpTask(session, member, asked[stats.length]!));
    }
  } catch (error) {
    // An agent that is busy cannot be taken out.
    undoAll(
      error,
      asked.slice(stats.length).map(({ settle }) => settle),
    );
    throw error;
  }
  asked.forEach(({ hasContinued }, index) => {
    if (hasContinued()) noteContinued(members[index]!, members);
  });
  return stats;
}

/** A process that has been sent its questions. */
interface Asked {
  /** Waits until all are answered; there is nothing to wait for a second time. */
  settle(): void;
  read(): void;
  /** Whether wait(2) has to tell it of a child that goes on. */
  hasContinued(): boolean;
}

/** `parents`: processes with living children. */
function ask({ registry }: FrozenSession, { task, target }: Member, parents: ReadonlySet<number> = new Set()): Asked {
  const { program, read } = askProcess(registry, task);
  const hasContinued = parents.has(task.pid) ? askForContinued(program) : () => false;
  // The last of all: a timer that it was asked for may have gone off meanwhile.
  const waiting = program.out(SIGSET_SIZE);
  program.call('rt_sigpending', [waiting, SIGSET_SIZE]);
  const answer = target.infection.task.start(program);
  let isAnswered = false;
  return {
    hasContinued,
    settle: () => {
      if (isAnswered) return;
      isAnswered = true;
      answer();
    },
    read: () => {
      if (waiting.read().readBigUInt64LE(0) === 0n) target.noSignalsWait();
      read();
    },
  };
}

function dumpTask(
  { registry, writer, parent, request }: FrozenSession,
  { task, tracked }: Member,
  asked: Asked,
): PageStats {
  const track = request.trackMem === true;
  const { outlet } = request;
  asked.settle();
  asked.read();
  askThreads(registry, task);
  // Memory is stored once.
  if (task.owners.vm !== task.pid) return { pagesScanned: 0, pagesWritten: 0, guards: [] };
  const areas = collectMappings(registry, task, track ? startTracking(task, tracked, parent) : tracked);
  // A page server has the parent's pages itself.
  const known = tracked.size > 0 && outlet === undefined ? parent.pagesOf(registry, task.pid) : undefined;
  const increment = { parent: known, startOver: track, outlet, lazyLater: request.serveLazily !== undefined };
  const stats = registry.pages.dump(task, areas, writer, increment);
  addGuards(task, stats);
  return stats;
}

/** What each thread has for itself; the main one was asked with its process. */
function askThreads(registry: Registry, task: Frozen): void {
  const others = task.threads.slice(1);
  if (others.length === 0) return;
  const { program, read } = askThread(registry);
  const asked = others.map(({ hostTid, state }) => ({ tid: hostTid, state }));
  task.target.infection.askThreads(asked, program, (index) => read(others[index]!));
}

/** All or none: an engine that dies on the way takes the rest with it. */
function end({ targets }: FrozenTree, killed: () => void): void {
  if (targets.length > 1) bindToEngine(targets);
  for (const target of targets) target.kill();
  killed();
  for (const target of targets) target.reap();
}
