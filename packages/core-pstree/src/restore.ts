import { closeSync, openSync, readFileSync } from 'node:fs';
import { ImageReader, type MmEntry } from '@crts/image-io';
import {
  CLONE_PARENT,
  currentCpu,
  findFreeArea,
  findSyscall,
  getAffinity,
  launchStub,
  preadFull,
  type RemoteTask,
  rawSyscall,
  releaseTask,
  type StubTask,
  SyscallError,
  setAffinity,
  stubAreaSize,
  waitPid,
} from '@crts/native-syscalls';
import { CrtsError, type RestoreContext, vmaResource } from '@crts/plugin-api';
import { onCpu } from './cpu';
import { planDescriptors } from './descriptors';
import { cannotFork, foreignSession, noPluginForImage, noSyscallInstruction, pidTaken } from './errors';
import { FileOpener } from './file-planner';
import { HeldObjects } from './held-objects';
import { type ImageSet, readImageSet } from './image-set';
import { Lender } from './lending';
import { type CompiledPlan, PlanBuilder, planText } from './plan';
import { buildRegistry, checkExternal, type Registry } from './registry';
import type { PlanText, RestoreOutcome, RestoreRequest } from './requests';

/** Programs of a restore run in batches of this size. */
const ARENA_BYTES = 1024 * 1024;
/** Page runs of one instruction: 240 kB of the arena. */
const RUNS_MAX = 10_000;
const USER_END = 0x7fff_ffff_f000n;
const SIGKILL = 9;
const SIGSTOP = 19;
const EEXIST = 17;

/** Compiles the images into a plan and executes it. Throws CrtsError; then nothing of the tree is left. */
export function restoreTree(request: RestoreRequest): RestoreOutcome {
  const reader = ImageReader.open(request.imagesDir);
  try {
    const { set, plan, place, shared } = compileRestore(request, reader);
    const affinity = getAffinity(0);
    try {
      return onCpu(currentCpu(), () => execute(request, set, plan, place, affinity));
    } finally {
      shared.close();
    }
  } finally {
    reader.close();
  }
}

/** Compiles the plan and prints it; no process is made. */
export function explainRestore(request: RestoreRequest, explain: boolean): PlanText {
  const reader = ImageReader.open(request.imagesDir);
  try {
    const { set, plan } = compileRestore(request, reader);
    return planText(plan, set.pid, explain);
  } finally {
    reader.close();
  }
}

interface Area {
  readonly start: bigint;
  readonly end: bigint;
}

/** Where the agent of a task is while it is built. */
interface AgentPlace {
  readonly area: Area;
  readonly doorbellNumber: number;
}

function compileRestore(request: RestoreRequest, reader: ImageReader) {
  const registry = buildRegistry(request.plugins);
  checkExternal(registry, request.external);
  const set = readImageSet(reader);
  if (set.sid !== set.pid && !request.shellJob) throw foreignSession(set.pid, set.sid).with({ stage: 'restore' });
  const area = agentArea(set);
  const plan = new PlanBuilder(set.pid);
  const pages = registry.pages.open(set.pid, reader);
  const items = (kind: string) => (reader.has(kind) ? [...reader.items(kind)] : []);
  const shared = new HeldObjects((shmid) => registry.pages.openShared(shmid, reader));
  const opener = new FileOpener(set.files, registry.fd, request, request.log, set.images.ttys, items, shared);
  const lender = new Lender();
  const context: RestoreContext = {
    files: opener,
    options: request,
    log: request.log,
    items,
    agentArea: area,
    shared,
    pages,
    fillPages: (program, start, end) => {
      const runs = pages.runs(start, end);
      // One instruction's table of runs has to fit the arena: 24 bytes a run.
      for (let at = 0; at < runs.length; at += RUNS_MAX)
        program.pagesFromFile(pagesFd(), runs.slice(at, at + RUNS_MAX), {
          what: `read the pages of 0x${start.toString(16)}-0x${end.toString(16)}`,
        });
    },
  };
  // The pages image stays open in the task from the first to the last mapping, under a number above its own.
  // The agent's doorbell is above every number that the task has itself, and it leaves the numbers next to it free:
  // AGENT_RESERVED_FDS.
  const doorbellNumber = opener.highestNumber(set.fdinfo) + 1;
  const pagesNumber = doorbellNumber + 1;
  const pagesFd = () => pagesNumber;
  planSession(plan, set);
  planDescriptors(
    [{ plan, fdinfo: set.fdinfo, scratch: pagesNumber + 1, spare: pagesNumber + 3 }],
    set.files,
    opener,
    lender,
  );
  plan.pass(
    { plugin: 'engine', stage: 'memory', what: 'clear the address space', provides: ['mm:cleared'] },
    (program) => {
      program.call('munmap', [0, area.start]);
      program.call('munmap', [area.end, USER_END - area.end]);
      program.moveFd(program.receiveFd(pages.fd, { what: 'take the pages image' }), pagesNumber, true);
    },
  );
  planMappings(plan, set, registry, context);
  for (const handler of registry.taskState)
    guard(handler.name, () => {
      handler.plan?.(set.images, plan, context);
      handler.planThread?.(set.images.core, plan, context);
    });
  plan.pass({ plugin: 'engine', stage: 'memory', what: 'close the pages image', needs: ['vmas'] }, (program) => {
    program.call('close', [pagesNumber]);
  });
  const place: AgentPlace = { area, doorbellNumber };
  return { set, plan: plan.compile(), place, shared };
}

function agentArea(set: ImageSet): Area {
  const { vmas } = set.images.mm as MmEntry;
  const taken = [...vmas].sort((a, b) => (a.start < b.start ? -1 : 1));
  const size = stubAreaSize(ARENA_BYTES);
  const start = findFreeArea(taken, size);
  if (start === undefined)
    throw new CrtsError({
      code: 'CRTS_NO_ADDRESS_SPACE',
      pid: set.pid,
      stage: 'restore',
      what: 'the images leave no room for the agent in the address space',
    });
  return { start, end: start + size };
}

/** A leader of its session becomes one again; a job of a shell joins the session and the group that crts runs in, as with CRIU. */
function planSession(plan: PlanBuilder, set: ImageSet): void {
  plan.pass({ plugin: 'engine', stage: 'forking', what: 'session and process group' }, (program) => {
    if (set.sid === set.pid) program.call('setsid', []);
  });
}

function planMappings(plan: PlanBuilder, set: ImageSet, registry: Registry, context: RestoreContext): void {
  for (const entry of (set.images.mm as MmEntry).vmas) {
    const handler = registry.vma.find((candidate) => candidate.owns(entry));
    if (handler === undefined)
      throw noPluginForImage(`the mapping ${vmaResource(entry.start)} (status 0x${entry.status.toString(16)})`);
    guard(handler.name, () => handler.plan(entry, set.images, plan, context));
  }
}

function guard(plugin: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    throw error instanceof CrtsError ? error.with({ plugin, stage: 'restore' }) : error;
  }
}

function execute(
  request: RestoreRequest,
  set: ImageSet,
  plan: CompiledPlan,
  place: AgentPlace,
  affinity: Buffer,
): RestoreOutcome {
  const { log } = request;
  const started = process.hrtime.bigint();
  const stub = fork(request, set, place);
  try {
    // The stub was born with the engine's one CPU; the plan sets the task's own where the images have it.
    setAffinity(stub.hostPid, affinity);
    const forked = process.hrtime.bigint();
    log.info({ pid: set.pid }, 'forked');
    runSteps(plan, stub);
    log.info({ pid: set.pid }, 'built; letting go');
    releaseTask(stub, syscallAddress(stub.hostPid, set), plan.thread, [], () => {
      if (request.leaveStopped) rawSyscall('kill', stub.hostPid, SIGSTOP);
    });
    stub.close();
    const end = process.hrtime.bigint();
    const pages = (set.images.mm as MmEntry).vmas.length;
    return {
      pid: stub.hostPid,
      forkingTimeUs: Number((forked - started) / 1000n),
      restoreTimeUs: Number((end - started) / 1000n),
      pagesRestored: pages,
    };
  } catch (error) {
    rawSyscall('kill', stub.hostPid, SIGKILL);
    reap(stub.hostPid);
    stub.close();
    throw error;
  }
}

function fork(request: RestoreRequest, set: ImageSet, place: AgentPlace): StubTask {
  try {
    return launchStub({
      pid: set.pid,
      flags: request.sibling ? CLONE_PARENT : 0n,
      ...place,
    });
  } catch (error) {
    if (!(error instanceof SyscallError) || !error.call?.startsWith('clone3')) throw error;
    if (error.number === EEXIST) throw pidTaken(set.pid, holderOf(set.pid));
    throw cannotFork(set.pid, error.errno, error.call);
  }
}

function holderOf(pid: number): string {
  try {
    const tgid = /^Tgid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    const comm = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
    if (/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')))
      return `${comm}, which is dead and waits for its parent`;
    return tgid === String(pid) ? comm : `a thread (${comm}) of process ${tgid}`;
  } catch {
    return 'a process group or session whose leader is gone';
  }
}

function runSteps(plan: CompiledPlan, stub: StubTask): void {
  const run = (task: RemoteTask, build: Parameters<RemoteTask['run']>[0]) => task.run(build);
  for (const step of plan.steps) {
    if (step.kind === 'program') {
      run(stub.task, step.program);
      continue;
    }
    try {
      step.run({ hostPid: stub.hostPid, run: (build) => run(stub.task, build) });
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
}

/** VMA_AREA_VDSO of the format. */
const VDSO_STATUS = 8;

/** A `syscall` instruction in the task's own memory, by which the agent's is unmapped: the vdso has one. */
function syscallAddress(hostPid: number, set: ImageSet): bigint {
  const { vmas } = set.images.mm as MmEntry;
  const code = vmas
    .filter((vma) => (vma.prot & 4) !== 0 && vma.end < USER_END)
    .sort((a, b) => (b.status & VDSO_STATUS) - (a.status & VDSO_STATUS));
  const mem = openSync(`/proc/${hostPid}/mem`, 'r');
  try {
    for (const vma of code) {
      const bytes = Buffer.alloc(Math.min(Number(vma.end - vma.start), ARENA_BYTES));
      try {
        preadFull(mem, bytes, vma.start);
      } catch {
        continue;
      }
      const found = findSyscall(bytes, vma.start);
      if (found !== undefined) return found;
    }
  } finally {
    closeSync(mem);
  }
  throw noSyscallInstruction();
}

/** A sibling is not ours to wait for: its parent gets it. */
function reap(pid: number): void {
  try {
    waitPid(pid);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
  }
}
