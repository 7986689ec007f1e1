import { closeSync, openSync, writeSync } from 'node:fs';
import { encodeImage, imageKind } from '@crts/image-io';
import {
  closeFd,
  descriptorNumbers,
  encodeBatch,
  memfd,
  ProgramBuilder,
  settleBatch,
  USER_REGS_SIZE,
  withRegs,
  xstateSize,
} from '@crts/native-syscalls';
import type {
  ImageItem,
  ImageRecord,
  ImageSink,
  Logger,
  PageArea,
  ThreadFacts,
  ThreadState,
  VmaFacts,
} from '@crts/plugin-api';
import { clockShift } from './clocks';
import { askProcess, collectMappings, firstRefusal } from './collect';
import { FileTable } from './file-table';
import { Frozen, type Stopped } from './frozen-task';
import { refuseTask } from './limits';
import { ENGINE_IDS } from './object-ids';
import { glimpseTask } from './proc';
import type { Registry } from './registry';
import type { DumpRequest } from './requests';
import type { Target } from './target';
import { writeImages } from './tree-images';

/** So many, and all code is warm. */
const DESCRIPTORS_MAX = 512;
const MAPPINGS_MAX = 256;
const AREAS_MAX = 16;
const AREA_BYTES_MAX = 256n * 1024n;
/** Of all that lies between these areas the kernel walks the page tables: 15 ms a GiB. */
const LARGE_BYTES = 16n * 1024n * 1024n;
const ARENA_BYTES = 64 * 1024;
/** Of 16 KiB: together most of the mebibyte that V8 has for young objects at first. */
const GARBAGE_ARRAYS = 48;
const GARBAGE_WORDS = 2048;
const SILENT: Logger = { debug() {}, info() {}, warn() {} };

/**
 * Goes through the dump of the root once while the program still runs, with everything but the program's own answers,
 * and throws the result away. V8 compiles a function when it first runs and interprets it slowly then: done here, that
 * time is not part of the freeze (measured: docs/performance.md). Nothing of the task is changed, and what fails here is
 * left to the real dump to tell.
 */
export function rehearse(registry: Registry, request: DumpRequest, target: Target): void {
  const { log } = request;
  // Each step for itself: one that cannot be done on a running program must not leave all that follow cold.
  const attempt = (what: string, action: () => void): void => {
    try {
      action();
    } catch (error) {
      log.debug({ pid: request.pid }, `rehearsal: ${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  attempt('the whole', () => {
    const numbers = descriptorNumbers(request.pid);
    using files = new FileTable(registry.fd, [request.pid]);
    const stopped = running(target);
    attempt('the way in', () => {
      const { vmas } = stopped.facts;
      target.rehearseInfection(onStack(stopped.thread(target.pid).state, vmas), vmas);
    });
    const place = { ppid: 0, pagesId: 1, ids: ENGINE_IDS, clockShift: clockShift(request.pid) };
    // Nobody watches, and the dump says all that there is to say.
    const quiet = { ...request, log: SILENT, progress: undefined };
    const task = new Rehearsed(quiet, stopped, files, place);
    attempt('refusals', () => {
      refuseTask(task, task);
      firstRefusal(registry, task);
    });
    attempt('descriptors', () => {
      files.addDescriptors(task, target.pidfd, numbers.slice(0, DESCRIPTORS_MAX));
      // What refers to others is not to be judged by some.
      if (numbers.length <= DESCRIPTORS_MAX) files.finish();
    });
    attempt('questions', () => {
      const { program, read } = askProcess(registry, task);
      pass(program);
      read((handler, answer) => attempt(handler, answer));
    });
    attempt('mappings', () => {
      const areas = collectMappings(registry, task);
      // What is shared with others is compared with what they have stored.
      if (request.sharePages !== true) attempt('pages', () => storePages(registry, task, someOf(areas)));
    });
    attempt('images', () => {
      const sink = new Nowhere();
      writeImages(sink, { tasks: [task], zombies: [], sequence: [task.pid], files });
      sink.close();
    });
  });
  collectYoung();
}

/**
 * V8 collects its young objects whenever there is no room for more: here, because what the rehearsal leaves would soon make it do so in
 * the freeze, for 0.7 ms. No function of JavaScript asks for that; garbage does.
 */
function collectYoung(): void {
  let garbage: unknown[] = [];
  for (let made = 0; made < GARBAGE_ARRAYS; made++) garbage = Array(GARBAGE_WORDS);
  garbage.length = 0;
}

/** Images that are written, and gone. */
class Nowhere implements ImageSink {
  readonly #fd = openSync('/dev/null', 'w');

  write(kind: string, id: number | undefined, entries: readonly ImageRecord[]): void {
    this.writeItems(
      kind,
      id,
      entries.map((value) => ({ value })),
    );
  }

  writeItems(kind: string, _id: number | undefined, items: readonly ImageItem[]): void {
    writeSync(this.#fd, encodeImage(imageKind(kind), items));
  }

  rawFd(): number {
    return this.#fd;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** A program goes in and comes back, and nobody has run it. */
function pass({ instructions }: ProgramBuilder): void {
  const arena = Buffer.alloc(ARENA_BYTES);
  const batch = encodeBatch(instructions, 0, arena, arena.length);
  settleBatch(instructions, 0, batch, arena, batch.count);
}

/** The way back lies on the stack: no code of the program owns what is below its top. */
function onStack(state: ThreadState, vmas: readonly VmaFacts[]): ThreadState {
  const stack = vmas.find(({ name }) => name === '[stack]');
  return stack === undefined ? state : { ...state, prstatus: withRegs(state.prstatus, { rsp: stack.end - 64n }) };
}

/** Small ones in front of the first that is large. */
function someOf(areas: readonly PageArea[]): PageArea[] {
  const large = areas.findIndex(({ start, end }) => end - start > LARGE_BYTES);
  return (large < 0 ? areas : areas.slice(0, large)).filter(isSmall).slice(0, AREAS_MAX);
}

function isSmall({ start, end }: PageArea): boolean {
  return end - start <= AREA_BYTES_MAX;
}

/** Which pages there are, and the program that would store them: into memory, which stays empty. */
function storePages({ pages }: Registry, task: Rehearsed, areas: readonly PageArea[]): void {
  const fd = memfd('crts-rehearsal', 0);
  const sink = new Nowhere();
  try {
    const { writing } = pages.dump(task, areas, { write: (...image) => sink.write(...image), rawFd: () => fd });
    const program = new ProgramBuilder();
    const file = program.receiveFd(fd);
    writing?.parts[0]?.emit(program, file);
    pass(program);
    writing?.finish();
  } finally {
    sink.close();
    closeFd(fd);
  }
}

/** The running process as if it stood still, with the answers of nobody. */
function running(target: Target): Stopped {
  const { pid, mem, pidfd } = target;
  const glimpse = glimpseTask(pid);
  const facts = { ...glimpse, vmas: glimpse.vmas.slice(0, MAPPINGS_MAX) };
  const state: ThreadState = {
    prstatus: Buffer.alloc(USER_REGS_SIZE),
    xstate: Buffer.alloc(xstateSize()),
    sigmask: 0n,
  };
  const thread = (): { facts: ThreadFacts; state: ThreadState } => ({ facts, state });
  return {
    pid,
    mem,
    pidfd,
    facts,
    tids: [pid],
    stopSignal: undefined,
    thread,
    pendingSignals: () => [],
    get infection(): never {
      throw new Error('a rehearsal has no agent');
    },
  };
}

class Rehearsed extends Frozen {
  /** Only of a traced thread. */
  override syscallDispatchOf(): undefined {
    return undefined;
  }

  override run(): void {
    // There is no agent to run anything.
  }
}
