import type { PlainPages } from '@crts/image-io';
import type { HostPid, Logger, PageOutlet, Plugin, RunOptions } from '@crts/plugin-api';

/** A connection with a page server, made before the tree is frozen. */
export interface PageServer extends PageOutlet {
  /** Waits until the other side has stored all. @throws CrtsError CRTS_PAGE_SERVER */
  finish(): void;
}

/** Memory of a frozen tree, given piece by piece. */
export interface LatePages {
  /** All of it, in bytes. */
  readonly total: bigint;
  /** How many bytes from `start` on, at most `lengthBytes`, are there in one piece; 0: none. */
  available(pid: number, start: bigint, lengthBytes: bigint): bigint;
  /** Writes them to a stream socket. */
  send(socket: number, pid: number, start: bigint, lengthBytes: bigint): void;
}

/** What `crts dump` asks of the engine. Paths are as the caller's working directory sees them. */
export interface DumpRequest extends RunOptions {
  /** Root of the tree, as the engine sees it. */
  readonly pid: HostPid;
  readonly imagesDir: string;
  /** What becomes of the tree when the images are complete. */
  readonly finalState: 'kill' | 'leave-running' | 'leave-stopped';
  /** fsync every image before the inventory is written. */
  readonly sync: boolean;
  /** Write checksums of all images, for --verify. */
  readonly checksum?: boolean | undefined;
  /** The set to build on, meant from the images directory. */
  readonly prevImagesDir?: string | undefined;
  /** Take pages out of the older sets that this one supersedes. */
  readonly autoDedup?: boolean | undefined;
  /** Keep track of what the tree writes from now on, for the next set. */
  readonly trackMem?: boolean | undefined;
  /** How long the tree may take to stop (default 10), 0: as long as it takes. */
  readonly timeoutSeconds?: number | undefined;
  /** Directory of a freezer cgroup, of either version, that the whole tree is in. */
  readonly freezeCgroup?: string | undefined;
  /**
   * Memory that may come late is not stored. When the images are complete and the tree still stands, this is called, and gives it
   * to whoever restores; it returns when all of it was taken.
   */
  readonly serveLazily?: ((pages: LatePages) => void) | undefined;
  /** Where pages go instead of the images directory; the caller closes it. */
  readonly outlet?: PageServer | undefined;
  readonly log: Logger;
  readonly plugins: readonly Plugin[];
}

/** Times in microseconds, as in CRIU's stats_entry. */
export interface DumpOutcome {
  readonly freezingTimeUs: number;
  readonly frozenTimeUs: number;
  readonly memdumpTimeUs: number;
  readonly memwriteTimeUs: number;
  readonly pagesScanned: number;
  readonly pagesWritten: number;
}

/** Who brings memory that a task is built without. Descriptors stay the engine's. */
export interface LazyPages {
  /** A server that this restore has started: it reads the same images, and passes over what is there already. */
  readonly isOwn: boolean;
  /** A userfaultfd that tells what the task misses, and what that is; of the images' pid. */
  handOver(
    pid: number,
    uffd: number,
    pidfd: number,
    missing: readonly { readonly start: bigint; readonly end: bigint }[],
  ): void;
  /** A task that is restored dead. */
  dead(pid: number): void;
  /**
   * No more tasks come. Whatever is done in them from now on may need a missing page.
   * @throws CrtsError when nobody is there to serve: who needs a page would wait for ever
   */
  allHandedOver(): void;
  /** The tree runs. @throws CrtsError when nobody is there to serve: then it must not run */
  finished(): void;
}

export interface RestoreRequest extends RunOptions {
  /** Memory that the images mark comes when it is needed, from there. */
  readonly lazy?: LazyPages | undefined;
  readonly imagesDir: string;
  /** The restored root is made a sibling of the engine (clone3 CLONE_PARENT) instead of its child. */
  readonly sibling: boolean;
  /** Leave the tree stopped (SIGSTOP) at the end. */
  readonly leaveStopped: boolean;
  /** Plain contents of compressed images; the caller's. */
  readonly plainPages?: PlainPages | undefined;
  /** Check the images against their checksums first. */
  readonly verify?: boolean | undefined;
  /** Take the pages out of the images when the tree has them. */
  readonly autoDedup?: boolean | undefined;
  readonly log: Logger;
  readonly plugins: readonly Plugin[];
}

export interface RestoreOutcome {
  /** Root of the restored tree, as the engine sees it. */
  readonly pid: HostPid;
  readonly forkingTimeUs: number;
  readonly restoreTimeUs: number;
  /** Pages that tasks have from their parents and that were compared with the images; of these, the equal ones. */
  readonly pagesCompared: number;
  readonly pagesSkippedCow: number;
  readonly pagesRestored: number;
}

/** A compiled plan as text, for `crts restore --dry-run`; `explain` adds plugin, image entry and reason. */
export interface PlanText {
  readonly lines: readonly string[];
}

export interface DedupRequest {
  readonly imagesDir: string;
  readonly log: Logger;
  readonly plugins: readonly Plugin[];
}
