/** The contract of whoever stores page contents. */

import type { FrozenTask, PageSelection, PageSource } from './handlers';
import type { ImageSink, ImageSource } from './image-access';
import type { PageOutlet } from './page-outlet';
import type { Program, Result } from './program';
import type { SharedMemory } from './shared-objects';

/** A mapping whose pages are to be stored. */
export interface PageArea {
  readonly start: bigint;
  readonly end: bigint;
  readonly pages: PageSelection;
  /** Whether the task itself may read it; if not, the engine reads through /proc/PID/mem. */
  readonly readable: boolean;
  /** Private anonymous memory: CRIU marks its pages as fit for lazy restore. */
  readonly lazy: boolean;
  /** The kernel keeps track of writes to it. */
  readonly tracked?: boolean | undefined;
}

/** How the pages of an increment are chosen. */
export interface Increment {
  /** The task's pages in the set that this one builds on. Tracked pages that were not written since stay there. */
  readonly parent?: PageSource | undefined;
  /** Tracked pages count as not written from now on. */
  readonly startOver: boolean;
  /** Pages that may come late (PageArea.lazy) are not stored: they are taken from the frozen task later. */
  readonly lazyLater?: boolean | undefined;
  /** Where pages go instead of the images directory; it knows of the parent set itself. */
  readonly outlet?: PageOutlet | undefined;
}

/** Pages that a task has still to store itself: tasks do so side by side. */
export interface PageWriting {
  /** The pages image, which the task is lent. */
  readonly fd: number;
  /** Programs, to be run one after the other; what of them failed, fails the dump. */
  readonly parts: readonly PageWritingPart[];
  /** When all have run. */
  finish(): void;
}

export interface PageWritingPart {
  readonly bytes: bigint;
  /** `file`: the descriptor in the task. */
  emit(program: Program, file: Result): void;
}

export interface PageStats {
  /** Undefined: all is stored. */
  readonly writing?: PageWriting | undefined;
  /** What `lazyLater` has left with the task, ascending. */
  readonly later?: readonly { readonly start: bigint; readonly end: bigint; readonly readable: boolean }[] | undefined;
  readonly pagesScanned: number;
  readonly pagesWritten: number;
  /** Guard regions (MADV_GUARD_INSTALL) met on the way; they become entries of the mm image. */
  readonly guards: readonly { readonly start: bigint; readonly end: bigint }[];
}

/** An object of shared memory and its numbers in the images. */
export interface StoredMemory extends SharedMemory {
  readonly shmid: number;
  /** Id of its pages image. */
  readonly pagesId: number;
}

/** Stores and finds page contents: `pagemap-ID.img` and `pages-N.img`. Exactly one is registered. */
export interface PageStore {
  readonly name: string;
  dump(task: FrozenTask, areas: readonly PageArea[], sink: ImageSink, increment?: Increment): PageStats;
  /**
   * Chooses the pages while the task stands still; the function returned stores them when it runs again. What it writes
   * meanwhile counts as written.
   */
  preDump(task: FrozenTask, areas: readonly PageArea[], sink: ImageSink, increment: Increment): () => PageStats;
  /** Validates the task's pagemap and gives access to its pages. */
  open(pid: number, source: ImageSource, options?: { readonly elsewhere?: boolean }): PageSource;
  /** Stores the contents of an object: `pagemap-shmem-SHMID.img`. */
  dumpShared(memory: StoredMemory, sink: ImageSink, outlet?: PageOutlet): Omit<PageStats, 'guards'>;
  /** The same for the contents of an object; addresses are offsets in it. */
  openShared(shmid: number, source: ImageSource): PageSource;
  /** Frees the room of pages in older sets that this one supersedes. Returns the number of bytes. */
  dedup(source: ImageSource): bigint;
  /** Frees the room of all pages that a restore of the set has read: it was the last one. */
  punchRestored(source: ImageSource): bigint;
}
