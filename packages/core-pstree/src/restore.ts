import { type CoreEntry, ImageReader, type MmEntry } from '@crts/image-io';
import {
  type Completion,
  completeTasks,
  currentCpu,
  type FinalThread,
  getAffinity,
  letTasksRun,
  observingWaits,
  type ProgramBuilder,
  type RemoteTask,
  runTogether,
  type StubTask,
  SyscallError,
  setAffinity,
  stopTask,
} from '@crts/native-syscalls';
import { CrtsError, STAGES, type Stage } from '@crts/plugin-api';
import { apart } from './borrowed';
import { enterTimeNamespace } from './clocks';
import { compileRestore, type TaskRestore, type TreeRestore } from './compile';
import { onCpu } from './cpu';
import { punchAfterRestore } from './dedup';
import { seccompSuspension } from './errors';
import { fillWatch } from './fill-watch';
import { forkText } from './forks/text';
import type { TaskSet } from './image-set';
import { waitForLingering } from './lingering';
import { forkFailed, Nursery } from './nursery';
import { PageHelp } from './page-help';
import { planText, type Step } from './plan';
import type { PageCounts } from './private-memory';
import type { PlanText, RestoreOutcome, RestoreRequest } from './requests';
import { SIGCHLD } from './signal-numbers';
import { stopSignalOf } from './stop-signal';
import { SyscallFinder } from './syscall-finder';
import { undoAll } from './undoing';
import { continueUntold, forgetSignal, P_PID, TASK_STOPPED, WALL, WNOWAIT, WSTOPPED } from './wait-states';

/** Compiles the images into a plan and executes it. Throws CrtsError; then nothing of the tree is left. */
export function restoreTree(request: RestoreRequest): RestoreOutcome {
  const reader = ImageReader.open(request.imagesDir, request.plainPages?.files);
  try {
    // A plan that hands pages to a server is compiled only once.
    const tree = compileRestore(request, reader, request.lazy === undefined);
    waitForLingering([...tree.set.tasks, ...tree.set.dead].map(({ pid }) => pid));
    const affinity = getAffinity(0);
    const outcome = tree.remaps.around((built) => onCpu(currentCpu(), () => execute(request, tree, affinity, built)));
    // Memory that is still to come is read from the images later.
    if (request.autoDedup === true && request.lazy === undefined) punchAfterRestore(tree.registry, reader, request.log);
    return outcome;
  } finally {
    reader.close();
  }
}

/** Compiles the plan and prints it; no process is made. */
export function explainRestore(request: RestoreRequest, explain: boolean): PlanText {
  const reader = ImageReader.open(request.imagesDir, request.plainPages?.files);
  try {
    const { forks, tasks, remaps, clocks } = compileRestore(request, reader);
    return {
      lines: [
        ...remaps.text,
        ...(clocks === undefined ? [] : [clocks.text]),
        ...forkText(forks),
        ...tasks.flatMap(({ set, plan, threads }) => planText(plan, set.pid, explain, threads)),
      ],
    };
  } finally {
    reader.close();
  }
}

/** Of tasks, threads, groups and sessions: no helper may take one. */
function numbersOf({ set, forks }: TreeRestore): Set<number> {
  const threads = set.tasks.flatMap(({ pgid, sid, threads }) => [pgid, sid, ...threads.map(({ tid }) => tid)]);
  const forked = forks.rounds.flat().flatMap((op) => (op.op === 'fork' ? [op.child] : []));
  return new Set([set.root.pid, ...threads, ...forked]);
}

function execute(request: RestoreRequest, tree: TreeRestore, affinity: Buffer, built: () => void): RestoreOutcome {
  const { log, progress } = request;
  const { set, tasks, lender } = tree;
  const started = process.hrtime.bigint();
  const size = tasks.length + set.dead.length + tree.helpers;
  const leading = new Map(tasks.flatMap(({ set, plan }) => (plan.leading ? [[set.pid, plan.leading] as const] : [])));
  const help = new PageHelp(affinity);
  const nursery = new Nursery(tree.layout, size, tree.forks, tree.places, numbersOf(tree), leading, help);
  try {
    const root = nursery.launchRoot(set.root.pid, request.sibling);
    // The stub was born with the engine's one CPU; the plan sets each task's own where the images have it.
    setAffinity(root.hostPid, affinity);
    const { clocks } = tree;
    if (clocks !== undefined) root.task.run((program) => enterTimeNamespace(program, clocks));
    foundTree(tasks[0]!, root);
    progress?.expect(bytesToFill(tasks));
    const watch = progress === undefined ? undefined : fillWatch(progress, () => nursery.hostPids);
    observingWaits(watch, () => nursery.forkAll(inheritances(tasks)));
    lender.hostPidOf = (pid) => nursery.stub(pid).hostPid;
    const forked = process.hrtime.bigint();
    log.info({ pid: set.root.pid }, tasks.length === 1 ? 'forked' : `forked ${size} tasks`);
    // Memory that is shared is handed over once.
    const sharing = set.tasks.filter(({ pid, owners }) => owners.vm !== pid);
    for (const { pid } of [...set.dead, ...sharing]) request.lazy?.dead(pid);
    observingWaits(watch, () => runStages(tree, nursery, help, request));
    progress?.end();
    log.info({ pid: set.root.pid }, 'built; letting go');
    release(tree, nursery, request.leaveStopped, built);
    request.lazy?.finished();
    const end = process.hrtime.bigint();
    return {
      pid: root.hostPid,
      forkingTimeUs: Number((forked - started) / 1000n),
      restoreTimeUs: Number((end - started) / 1000n),
      ...pageCounts(tasks),
    };
  } catch (error) {
    undoAll(error, [() => nursery.kill(set.root.pid), () => tree.shared.undo(error), () => progress?.end()]);
    throw error;
  } finally {
    lender.close();
    tree.shared.close();
    nursery.close();
  }
}

/** Host steps that are done before the root forks: what they give it all others are born with. */
const isFounding = (step: Step) => step.kind === 'host' && step.stage === 'namespaces';

function foundTree({ plan }: TaskRestore, root: StubTask): void {
  // There are no other tasks yet.
  for (const step of plan.steps) if (step.kind === 'host' && isFounding(step)) hostStep(step, root, () => root);
}

/** What each task runs before it forks others. */
function inheritances(tasks: readonly TaskRestore[]): ReadonlyMap<number, ProgramBuilder> {
  const early = new Map<number, ProgramBuilder>();
  for (const { set, plan } of tasks)
    for (const step of plan.steps)
      if (step.stage === 'inheritance' && step.kind === 'program') early.set(set.pid, step.program);
  return early;
}

/** Known when the plan is compiled. */
function bytesToFill(tasks: readonly TaskRestore[]): bigint {
  return tasks.reduce((sum, { filler }) => sum + filler.plannedBytes, 0n);
}

function pageCounts(tasks: readonly TaskRestore[]) {
  const counts = tasks.map(({ filler }) => filler.counts);
  const sum = (of: keyof PageCounts) => counts.reduce((total, count) => total + count[of], 0);
  return { pagesCompared: sum('compared'), pagesSkippedCow: sum('shared'), pagesRestored: sum('restored') };
}

/** All tasks of the tree are in one stage at a time. */
function runStages({ tasks, set }: TreeRestore, nursery: Nursery, help: PageHelp, request: RestoreRequest): void {
  const running = tasks.map((task) => ({
    task,
    set: task.set,
    steps: task.plan.steps.filter(
      (step) => step.stage !== 'inheritance' && !(task.set === set.root && isFounding(step)),
    ),
    remote: nursery.stub(task.set.pid),
    next: 0,
  }));
  const waves = apart(running);
  continueUntold(set.tasks, (pid) => nursery.stub(pid));
  for (const { task, remote } of running) if (task.plan.suspendSeccomp) suspendSeccomp(remote, remote.hostPid);
  for (const stage of STAGES) {
    if (stage === 'sigchld') {
      for (const { pid, what } of nursery.endDead(set.dead)) request.log.warn({ pid }, `zombie: ${what}`);
      nursery.endHelpers();
    }
    for (const wave of waves) runStage(stage, wave, help, (pid) => nursery.stub(pid));
    if (stage === 'memory') request.lazy?.allHandedOver();
  }
  for (const { task, remote } of running) runUnfiltered(task, remote);
}

interface Running {
  readonly task: TaskRestore;
  readonly steps: readonly Step[];
  readonly remote: StubTask;
  next: number;
}

/** All that the tasks have to do in a stage, side by side. */
function runStage(stage: Stage, running: readonly Running[], help: PageHelp, stubOf: (pid: number) => StubTask): void {
  for (;;) {
    const jobs: { task: RemoteTask; program: ProgramBuilder }[] = [];
    let hosts = 0;
    for (const one of running) {
      const step = one.steps[one.next];
      if (step?.stage !== stage) continue;
      one.next += 1;
      if (step.kind === 'program') jobs.push({ task: one.remote.task, program: step.program });
      else {
        hosts += 1;
        if (step.kind === 'threads')
          one.remote.createThreads(
            // Without the state: that is for a thread that could go back to it when the engine dies, 3 kB of the arena each.
            one.task.threads.map(({ tid, program }) => ({ tid, program })),
            (tid, errno) => forkFailed(tid, errno, `clone3(set_tid=${tid})`),
          );
        else hostStep(step, one.remote, stubOf);
      }
    }
    if (jobs.length > 0) runTogether(jobs, help.meanwhile);
    else if (hosts === 0) return;
  }
}

/** Threads that have filters of their own get them when the engine traces them. */
function runUnfiltered({ threads }: TaskRestore, stub: StubTask): void {
  const late = threads.flatMap(({ tid, unfiltered }) =>
    unfiltered === undefined ? [] : [{ tid, program: unfiltered }],
  );
  for (const { tid } of late) suspendSeccomp(stub, tid);
  stub.runThreads(late);
}

function suspendSeccomp(stub: StubTask, tid: number): void {
  try {
    stub.suspendSeccomp(tid);
  } catch (error) {
    throw error instanceof SyscallError ? seccompSuspension(tid, error.errno) : error;
  }
}

function hostStep(
  step: Extract<Step, { kind: 'host' }>,
  { hostPid, task }: StubTask,
  stubOf: (pid: number) => StubTask,
): void {
  try {
    step.run({ hostPid, run: (build) => task.run(build), runIn: (pid, build) => stubOf(pid).task.run(build) });
  } catch (error) {
    const { plugin, stage, what } = step.head;
    if (error instanceof CrtsError) throw error.with({ plugin, stage });
    const { code, syscall, path } = error as NodeJS.ErrnoException;
    throw new CrtsError({
      code: 'CRTS_HOST_STEP',
      plugin,
      stage,
      what,
      call: syscall,
      errno: code,
      path,
      cause: error,
    });
  }
}

/** Every task is itself again, and stopped, before the first one runs. */
function release({ tasks }: TreeRestore, nursery: Nursery, leaveStopped: boolean, built: () => void): void {
  const finder = new SyscallFinder();
  const completed: { readonly hostPid: number; readonly threads: readonly FinalThread[] }[] = [];
  for (const batch of releasedTogether(tasks)) {
    completeTasks(batch.map((task) => completionOf(task, nursery.stub(task.set.pid), finder)));
    for (const task of batch) {
      const { hostPid } = nursery.stub(task.set.pid);
      const threads = finalThreads(task);
      if (!isStopped(task)) {
        completed.push({ hostPid, threads });
        continue;
      }
      const sets = tasks.map(({ set }) => set);
      stopTask(hostPid, threads, stopSignalOf(task.set, sets, task.plan.thread.sigmask));
      const parent = tasks.find(({ set }) => set.pid === task.set.ppid);
      if (parent !== undefined) tellOfStop(nursery.stub(parent.set.pid).task, hostPid, task.set, parent.set);
    }
  }
  completed.reverse();
  built();
  if (!leaveStopped) letTasksRun(completed);
  else for (const { hostPid, threads } of completed) stopTask(hostPid, threads);
}

/** Children first, one by one, where the agent of a parent has to be told of their stops; else all at once. */
function releasedTogether(tasks: readonly TaskRestore[]): readonly (readonly TaskRestore[])[] {
  const order = tasks.toReversed();
  return tasks.some(isStopped) ? order.map((task) => [task]) : [order];
}

function isStopped({ set }: TaskRestore): boolean {
  return (set.images.core as CoreEntry).tc?.task_state === TASK_STOPPED;
}

function finalThreads({ threads }: TaskRestore): FinalThread[] {
  return threads.map(({ tid, state }) => ({ hostTid: tid, state }));
}

function completionOf(task: TaskRestore, stub: StubTask, finder: SyscallFinder): Completion {
  return {
    stub,
    syscallAt: finder.find(stub.hostPid, task.set.images.mm as MmEntry),
    main: task.plan.thread,
    threads: finalThreads(task),
    // The first of those that share memory has the agents' area unmapped, after all others.
    isLast: task.set.owners.vm === task.set.pid,
  };
}

/** The parent knows of the stop what it knew, and gets no signal for it but one that waited at the dump too. */
function tellOfStop(task: RemoteTask, hostPid: number, child: TaskSet, parent: TaskSet): void {
  const isUntold = (child.images.core as CoreEntry).thread_core?.crts?.stop_untold === true;
  const waiting = (parent.images.core as CoreEntry).tc?.signals_s?.signals ?? [];
  const hadSignal = waiting.some(({ siginfo }) => siginfo[0] === SIGCHLD);
  task.run((program) => {
    program.call('waitid', [P_PID, hostPid, null, WSTOPPED | WALL | (isUntold ? WNOWAIT : 0), null], {
      what: `wait until ${child.pid} is stopped`,
    });
    if (hadSignal) return;
    forgetSignal(program, SIGCHLD);
  });
}
