/** The contract of whoever stores page contents. */
import type { FrozenTask, PageSelection, PageSource } from './handlers';
import type { ImageSink, ImageSource } from './image-access';
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
}

export interface PageStats {
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
  open(pid: number, source: ImageSource): PageSource;
  /** Stores the contents of an object: `pagemap-shmem-SHMID.img`. */
  dumpShared(memory: StoredMemory, sink: ImageSink): Omit<PageStats, 'guards'>;
  /** The same for the contents of an object; addresses are offsets in it. */
  openShared(shmid: number, source: ImageSource): PageSource;
  /** Frees the room of pages in older sets that this one supersedes. Returns the number of bytes. */
  dedup(source: ImageSource): bigint;
  /** Frees the room of all pages that a restore of the set has read: it was the last one. */
  punchRestored(source: ImageSource): bigint;
}
