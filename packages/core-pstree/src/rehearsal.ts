import { encodeImage, imageKind } from '@crts/image-io';
import { encodeBatch, settleBatch, USER_REGS_SIZE, xstateSize } from '@crts/native-syscalls';
import type { ImageItem, ImageRecord, ThreadState } from '@crts/plugin-api';
import { collectMappings, emitCollection, firstRefusal, writeImages } from './dump';
import { descriptorNumbers, FileTable } from './file-table';
import type { Target } from './freeze';
import { Frozen } from './frozen-task';
import { readTaskFacts } from './proc';
import type { Registry } from './registry';
import type { DumpRequest } from './requests';

const ARENA_BYTES = 64 * 1024;

/**
 * Goes through a dump once while the program still runs, with everything but the program's own answers, and throws the
 * result away. V8 compiles a function when it first runs and interprets it slowly then: done here, that time is not
 * part of the freeze (measured: docs/performance.md). Nothing of the task is changed, and what fails here is left to
 * the real dump to tell.
 */
export function rehearse(registry: Registry, request: DumpRequest, target: Target): void {
  try {
    const task = new Rehearsed(request, target, readTaskFacts(request.pid), new FileTable(registry.fd));
    firstRefusal(registry, task);
    task.descriptors = task.files.addDescriptors(task, target.pidfd, descriptorNumbers(request.pid));
    task.files.finish();
    const { program, readers } = emitCollection(registry, task);
    const arena = Buffer.alloc(ARENA_BYTES);
    const batch = encodeBatch(program.instructions, 0, arena, arena.length);
    settleBatch(program.instructions, 0, batch, arena, batch.count);
    for (const read of readers) read();
    collectMappings(registry, task);
    const discard = (kind: string, _id: number | undefined, entries: readonly ImageRecord[]) => {
      encodeImage(
        imageKind(kind),
        entries.map((value) => ({ value })),
      );
    };
    const discardItems = (kind: string, _id: number | undefined, items: readonly ImageItem[]) => {
      encodeImage(imageKind(kind), items);
    };
    writeImages({ write: discard, writeItems: discardItems }, task);
  } catch {
    // See above.
  }
}

/** The running task, with the answers of nobody. */
class Rehearsed extends Frozen {
  override threadState(): ThreadState {
    return { prstatus: Buffer.alloc(USER_REGS_SIZE), xstate: Buffer.alloc(xstateSize()), sigmask: 0n };
  }

  override pending(): readonly Buffer[] {
    return [];
  }

  override run(): void {
    // There is no agent to run anything.
  }
}
