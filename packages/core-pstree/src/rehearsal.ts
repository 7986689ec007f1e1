import { encodeImage, imageKind } from '@crts/image-io';
import { descriptorNumbers, encodeBatch, settleBatch, USER_REGS_SIZE, xstateSize } from '@crts/native-syscalls';
import type { ImageItem, ImageRecord, Logger, ThreadFacts, ThreadState } from '@crts/plugin-api';
import { askProcess, collectMappings, firstRefusal } from './collect';
import { FileTable } from './file-table';
import { Frozen, type Stopped } from './frozen-task';
import { ENGINE_IDS } from './object-ids';
import { glimpseTask } from './proc';
import type { Registry } from './registry';
import type { DumpRequest } from './requests';
import type { Target } from './target';
import { writeImages } from './tree-images';

/** So many, and all code is warm. */
const DESCRIPTORS_MAX = 512;
const MAPPINGS_MAX = 256;
const ARENA_BYTES = 64 * 1024;
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
    const files = new FileTable(registry.fd, [request.pid]);
    // The dump says all that there is to say.
    const quiet = { ...request, log: SILENT };
    const task = new Rehearsed(quiet, running(target), files, { ppid: 0, pagesId: 1, ids: ENGINE_IDS });
    attempt('refusals', () => {
      firstRefusal(registry, task);
    });
    attempt('descriptors', () => {
      files.addDescriptors(task, target.pidfd, numbers.slice(0, DESCRIPTORS_MAX));
      // What refers to others is not to be judged by some.
      if (numbers.length <= DESCRIPTORS_MAX) files.finish();
    });
    attempt('questions', () => {
      const { program, read } = askProcess(registry, task);
      const arena = Buffer.alloc(ARENA_BYTES);
      const batch = encodeBatch(program.instructions, 0, arena, arena.length);
      settleBatch(program.instructions, 0, batch, arena, batch.count);
      read((handler, answer) => attempt(handler, answer));
    });
    attempt('mappings', () => {
      collectMappings(registry, task);
    });
    attempt('images', () => encodeImages(task, files));
  });
}

function encodeImages(task: Rehearsed, files: FileTable): void {
  const discardItems = (kind: string, _id: number | undefined, items: readonly ImageItem[]) => {
    encodeImage(imageKind(kind), items);
  };
  const discard = (kind: string, id: number | undefined, entries: readonly ImageRecord[]) =>
    discardItems(
      kind,
      id,
      entries.map((value) => ({ value })),
    );
  writeImages(
    { write: discard, writeItems: discardItems },
    { tasks: [task], zombies: [], sequence: [task.pid], files },
  );
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
