import type { CrtsError } from './errors';

/** What pages belong to: a task, or an object of shared memory. */
export type PageOwner = 'pagemap' | 'pagemap-shmem';

/**
 * A page server: pages of a dump go to it over a stream, and not into the images directory. Each run of pages is announced by a
 * record, and its bytes follow; what is written to `socket` must be that and nothing else.
 */
export interface PageOutlet {
  /** The engine's own, open for writing; may be lent to a task. */
  readonly socket: number;
  /** Whether the other side has a parent set with pages of this owner. */
  hasParent(owner: PageOwner, id: number): boolean;
  /** What follows are pages of this owner; the same answer. */
  open(owner: PageOwner, id: number): boolean;
  /**
   * The record of a run; `flags` are those of a pagemap entry (PE_PARENT, PE_LAZY, PE_PRESENT): bytes follow a PE_PRESENT
   * one.
   */
  record(start: bigint, end: bigint, flags: number): Buffer;
  /** Sends bytes through the engine; `more`: others follow at once. @throws CrtsError CRTS_PAGE_SERVER */
  send(bytes: Buffer, more: boolean): void;
  /** So many bytes of pages are to come: for who waits. */
  expect(bytes: bigint): void;
  /** So many bytes of pages have been sent. */
  sent(bytes: bigint): void;
  /** The error of a write to `socket` by somebody else; undefined where the stream is not to blame. */
  failure(errno: string | undefined): CrtsError | undefined;
}
