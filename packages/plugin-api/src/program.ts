/**
 * Programs: batches of system calls that the agent runs natively inside a task.
 *
 * A program is built with symbolic values: the result of an instruction can be an argument of a later one,
 * in the same program or in a later batch of the same task. Nothing is executed while it is built.
 */

/** Result of an instruction. `value` exists only after the program ran; before, it can be an argument. */
export interface Result {
  readonly kind: 'result';
  /** Return value of the call as the kernel gave it (negative errno on failure). Throws before the run. */
  readonly value: bigint;
}

/** Bytes in the arena, passed to calls as a pointer. */
export interface Data {
  readonly kind: 'data';
  readonly sizeBytes: number;
}

/** Bytes that a call writes. */
export interface Output extends Data {
  /** What the calls left there: a copy, valid after the run. */
  read(): Buffer;
  /** The 32- or 64-bit word at `offset` as an argument of a later instruction (`pipe2` results, say). */
  u32(offset: number): Loaded;
  u64(offset: number): Loaded;
}

/** A word that the agent loads from the arena when the instruction runs. */
export interface Loaded {
  readonly kind: 'loaded';
  readonly sizeBytes: 4 | 8;
}

/** Pointer into a piece of data, `offset` bytes behind its start. */
export interface Pointer {
  readonly kind: 'pointer';
  readonly data: Data;
  readonly offset: number;
}

/** A result and a number: an address inside of a mapping that the kernel has placed. */
export interface Sum {
  readonly kind: 'sum';
  readonly result: Result;
  readonly offset: bigint;
}

/** `null` is NULL. Numbers must be safe integers; negative ones are sign-extended as in C. */
export type Arg = number | bigint | null | Result | Sum | Loaded | Data | Pointer;

/**
 * What makes an instruction good: `ok` is any value that is not an errno (-4095..-1), `any` accepts everything
 * (the reader looks at the value), a number is the only value accepted.
 */
export type Expect = 'ok' | 'any' | number | bigint;

export interface CallOptions {
  /** `ok` unless told. */
  readonly expect?: Expect;
  /** What this instruction does for whom, for `--explain` and errors: `open /srv/data`. */
  readonly what?: string;
  /** The error to raise when the expectation is unmet; errno by name, or undefined when the value was no errno. */
  readonly fail?: (errno: string | undefined, value: bigint) => Error;
}

/** One run of pages for the bulk transfer between a task's memory and a file. */
export interface PageRun {
  readonly addr: bigint;
  readonly lengthBytes: bigint;
  readonly fileOffset: bigint;
}

/** A descriptor of the engine that exists only when the program runs. */
export interface LateFd {
  /** Asked when the program is sent. */
  take(): number;
  /** The task has its own duplicate now. */
  sent(): void;
}

/** Builder of one program. */
export interface Program {
  /** A system call by its kernel name, `openat`, `rt_sigaction`. At most six arguments. */
  call(name: string, args: readonly Arg[], options?: CallOptions): Result;
  /** Read-only input, copied now. */
  bytes(content: Uint8Array): Data;
  /** A NUL-terminated path or name. Lone surrogates as image-io makes them from non-UTF-8 names stay bytes. */
  cstring(text: string): Data;
  /** Room for a call to write to, zeroed before the run. */
  out(sizeBytes: number): Output;
  /** Stores a word into data before later instructions read it (an fd inside a struct). */
  store(data: Data, offset: number, value: Arg, sizeBytes: 4 | 8): void;
  /** Gives a descriptor its final number: dup3 + close, or only FD_CLOEXEC when it is there already. */
  moveFd(from: Arg, to: number, cloexec: boolean, options?: CallOptions): void;
  /** Takes a descriptor that the engine sends for this instruction: `source` is the engine's own, and stays open there. */
  receiveFd(source: number | LateFd, options?: CallOptions): Result;
  /**
   * Uses an AMX tile for a moment, with this configuration of 64 bytes: from then on the kernel has room for the tiles of the thread, which
   * finalThread() may set. The thread must be allowed to (ARCH_REQ_XCOMP_PERM), else it ends with SIGILL.
   */
  useTiles(config: Data, options?: CallOptions): void;
  /**
   * Writes runs of the task's memory to `fd`. The result is the number of bytes that the task has written, or an errno. `own`: the
   * same file as the engine has it open, so that it may write a share of them; all are there when the program is over.
   */
  pagesToFile(fd: Arg, runs: readonly PageRun[], options?: CallOptions, own?: number): Result;
  /** Reads runs of `fd` into the task's memory: all of them, or an errno (ENODATA when the file is too short). */
  pagesFromFile(fd: Arg, runs: readonly PageRun[], options?: CallOptions): Result;
}

/** Less than this is added to a result: the agent has 40 bits for it. */
const SUM_MAX = 1n << 40n;

/** `result` plus `offset`. */
export function plus(result: Result, offset: bigint): Sum {
  if (offset < 0n || offset >= SUM_MAX) throw new RangeError(`0x${offset.toString(16)} cannot be added to a result`);
  return { kind: 'sum', result, offset };
}

/** Pointer `offset` bytes into `data`. */
export function at(data: Data, offset: number): Pointer {
  return { kind: 'pointer', data, offset };
}
