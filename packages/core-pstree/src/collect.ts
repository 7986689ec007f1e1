/** What handlers say of a stopped task. */
import type { MmEntry } from '@crts/image-io';
import { ProgramBuilder, xstateComponents } from '@crts/native-syscalls';
import {
  type CrtsError,
  type FrozenTask,
  type PageArea,
  type PageStats,
  refusedFlag,
  type VmaFacts,
} from '@crts/plugin-api';
import { noVmaHandler } from './errors';
import type { Frozen, StoppedThread } from './frozen-task';
import { bestHandler, type Registry } from './registry';

/** Why the task cannot be dumped, from facts alone. */
export function firstRefusal(registry: Registry, task: FrozenTask): CrtsError | undefined {
  for (const vma of task.facts.vmas) {
    if (vmaHandler(registry, vma) === undefined) return noVmaHandler(task.pid, range(vma), vma.name, refusedFlag(vma));
  }
  for (const handler of registry.taskState) {
    const refusal = handler.refuse?.(task) ?? firstOf(task.threads, (thread) => handler.refuseThread?.(thread));
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

function firstOf<T, R>(list: readonly T[], ask: (one: T) => R | undefined): R | undefined {
  for (const one of list) {
    const answer = ask(one);
    if (answer !== undefined) return answer;
  }
  return undefined;
}

/** Asked for when the tree is refused, and again when it is dumped. */
const chosen = new WeakMap<VmaFacts, Registry['vma'][number]>();

function vmaHandler(registry: Registry, vma: VmaFacts) {
  const known = chosen.get(vma);
  if (known !== undefined) return known;
  const best = bestHandler(
    registry.vma,
    (handler) => handler.match(vma),
    () => `mapping ${range(vma)}`,
  );
  if (best !== undefined) chosen.set(vma, best);
  return best;
}

function range(vma: VmaFacts): string {
  return `0x${vma.start.toString(16)}-0x${vma.end.toString(16)}`;
}

/** What handlers ask of a task or of one of its threads, as one program, and what they make of the answers. */
export interface Questions {
  readonly program: ProgramBuilder;
  /** `each`: what a handler makes of its answers is to be done in there. */
  read(each?: (handler: string, answer: () => void) => void): void;
}

export interface ThreadQuestions {
  readonly program: ProgramBuilder;
  /** The answers to the program are those of this thread. */
  read(thread: StoppedThread): void;
}

/** Questions to the process and to its main thread. */
export function askProcess(registry: Registry, task: Frozen): Questions {
  const program = new ProgramBuilder();
  const readers: { readonly handler: string; readonly answer: () => void }[] = [];
  for (const handler of registry.taskState) {
    program.origin = { plugin: handler.name, stage: 'dump' };
    const answer = handler.dump?.(task, program);
    if (answer !== undefined) readers.push({ handler: handler.name, answer });
    const ofThread = handler.dumpThread?.(program);
    if (ofThread !== undefined) readers.push({ handler: handler.name, answer: () => ofThread(task.threads[0]!) });
  }
  return {
    program,
    read: (each = (_handler, answer) => answer()) => {
      for (const { handler, answer } of readers) each(handler, answer);
    },
  };
}

/** What is asked of every further thread. */
export function askThread(registry: Registry): ThreadQuestions {
  const program = new ProgramBuilder();
  const readers: ((thread: StoppedThread) => void)[] = [];
  for (const handler of registry.taskState) {
    program.origin = { plugin: handler.name, stage: 'dump' };
    const answer = handler.dumpThread?.(program);
    if (answer !== undefined) readers.push(answer);
  }
  return {
    program,
    read: (thread) => {
      for (const answer of readers) answer(thread);
    },
  };
}

/** `tracked`: starts of mappings whose writes the kernel keeps track of. */
export function collectMappings(
  registry: Registry,
  task: FrozenTask,
  tracked: ReadonlySet<bigint> = new Set(),
): PageArea[] {
  const mm = task.images.mm as MmEntry;
  const areas: PageArea[] = [];
  const pkru = pkruOf(task.threads[0]!.state.xstate);
  for (const vma of task.facts.vmas) {
    const { entry, pages } = vmaHandler(registry, vma)!.dump(vma, task);
    mm.vmas.push(entry as MmEntry['vmas'][number]);
    areas.push({
      start: vma.start,
      end: vma.end,
      pages,
      readable: vma.read && mayAccess(pkru, vma.protectionKey ?? 0),
      // CRIU never marks locked memory: it must be there when the program runs.
      tracked: tracked.has(vma.start),
      lazy: !vma.shared && vma.inode === 0n && pages === 'private' && !vma.vmFlags.has('lo'),
    });
  }
  return areas;
}

/** XFEATURE_PKRU, its place in the xsave area, and the bit that forbids all access to a key: Intel SDM 3, 4.6.2. */
const PKRU = 9;

function pkruOf(xstate: Buffer): number {
  const place = xstateComponents().get(PKRU);
  return place === undefined || place.offset + 4 > xstate.length ? 0 : xstate.readUInt32LE(place.offset);
}

/** The agent runs with the rights of the main thread. */
function mayAccess(pkru: number, key: number): boolean {
  return ((pkru >>> (2 * key)) & 1) === 0;
}

/** VMA_AREA_GUARD of the format. */
const GUARD_STATUS = 0x10000;

export function addGuards(task: FrozenTask, stats: PageStats): void {
  for (const { start, end } of stats.guards) {
    (task.images.mm as MmEntry).vmas.push({
      start,
      end,
      pgoff: 0n,
      shmid: 0n,
      prot: 0,
      flags: 0,
      status: GUARD_STATUS,
      fd: -1n,
    });
  }
}
