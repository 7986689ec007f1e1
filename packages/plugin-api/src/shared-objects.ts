import type { Arg, LateFd, Program } from './program';

/** Memory that is an object of its own, whoever maps it or has it open: shared anonymous memory, a memfd. */
export interface SharedMemory {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly sizeBytes: bigint;
  /** A /proc path that opens it for reading while the tree is frozen: `/proc/12/map_files/...`. */
  readonly via: string;
  /** Size of its pages, where they are huge TLB pages: such a file can be read and mapped, and nothing else. */
  readonly hugePageBytes?: bigint | undefined;
}

/** Objects of the kernel that several mappings, descriptions or tasks have: the engine holds them while tasks are built. */
export interface SharedObjects {
  /** True the first time in this restore that it is asked with `key`. */
  first(key: string): boolean;
  /**
   * The object `key`. `make` makes it, in the engine, when somebody takes it for the first time, and returns a
   * descriptor that the engine closes in the end; nothing is made while a plan is compiled. `undo` is called when the
   * restore fails after it was made, for what outlives its descriptor.
   */
  hold(key: string, make: () => number, undo?: () => void): HeldObject;
  /** A descriptor for one taker: `make` is asked when the program is sent, and the engine's own is closed then. */
  lend(make: () => number): LateFd;
  /**
   * Emits what writes the stored contents of `shmid` into the file `fd`, whose size is set and whose offset is moved.
   * The task does it, so that the memory counts as its own. A file of huge TLB pages it maps for a moment.
   */
  fill(program: Program, fd: Arg, shmid: number, sizeBytes: bigint, hugePageBytes?: bigint): void;
}

/** To be taken by tasks with `receiveFd`. */
export interface HeldObject extends LateFd {
  /** The engine's descriptor; makes the object. Only while the plan is executed. */
  take(): number;
}
