import type { Arg, CallOptions, Data, LateFd, Loaded, Output, PageRun, Result } from '@crts/plugin-api';
import type { PieceTable } from './pieces';
import { RUN_SIZE } from './protocol';

/** Who emitted an instruction; the engine sets it around each handler's turn. */
export interface Origin {
  readonly plugin?: string | undefined;
  readonly stage?: string | undefined;
  readonly what?: string | undefined;
}

/** One symbolic instruction. */
export interface Instruction {
  readonly op: number;
  /** Name of the system call, or of the agent's own operation. */
  readonly name: string;
  readonly nr: number | bigint;
  readonly args: readonly Arg[];
  readonly options: CallOptions;
  readonly origin: Origin;
  readonly result: ResultSlot;
  /** Descriptors of the engine that go with it: RECEIVE_FD takes one, FORK two. */
  readonly sendFds?: readonly (number | LateFd)[] | undefined;
  /** STORE: where to. */
  readonly storeAt?: { readonly data: DataSlot; readonly offset: number } | undefined;
  /** PAGES_TOGETHER: what the engine needs for its share. */
  readonly together?: Together | undefined;
}

/** A transfer that agent and engine make together. */
export interface Together {
  readonly table: PieceTable;
  /** The word that is incremented by who takes a piece. */
  readonly next: DataSlot;
}

/** Where results of instructions are that are no objects any more. */
export abstract class ResultHome {
  abstract resultAt(index: number): bigint | undefined;
}

export class ResultSlot implements Result {
  readonly kind = 'result';
  /** The batch that the instruction was last encoded for, and its place there: the encoder's own. */
  home: object | undefined;
  index = 0;
  #value: bigint | undefined;

  get value(): bigint {
    const value = this.#known();
    if (value === undefined) throw new Error('the result of an instruction is known only after its program ran');
    return value;
  }

  get known(): boolean {
    return this.#known() !== undefined;
  }

  #known(): bigint | undefined {
    return this.#value ?? (this.home instanceof ResultHome ? this.home.resultAt(this.index) : undefined);
  }

  settle(value: bigint): void {
    this.#value = value;
  }
}

/** Bytes that the encoder puts into the arena of the batch that uses them. */
export class DataSlot implements Data {
  readonly kind = 'data';
  readonly sizeBytes: number;
  /** How it is shown: a string in quotes, or undefined for plain bytes. */
  readonly text: string | undefined;
  content: Buffer | undefined;
  /** The batch in whose arena it lies, and where in it: the encoder's own. */
  home: object | undefined;
  at = 0;
  /** Calls or the agent write to it: its contents go from batch to batch. */
  isWritten = false;

  constructor(sizeBytes: number, content?: Buffer, text?: string) {
    this.sizeBytes = sizeBytes;
    this.content = content;
    this.text = text;
  }
}

/** Room that the agent uses for itself: what is in it means nothing, before and after. */
export class ScratchSlot extends DataSlot {}

/** Room that calls write to. Its bytes are copied out after each batch and carried into a later one that uses it. */
export class OutputSlot extends DataSlot implements Output {
  override isWritten = true;
  #ran = false;

  read(): Buffer {
    if (!this.#ran || this.content === undefined) {
      throw new Error('an output holds bytes only after its program ran');
    }
    return this.content;
  }

  settle(content: Buffer): void {
    this.#ran = true;
    this.content = content;
  }

  u32(offset: number): LoadedSlot {
    return new LoadedSlot(this, offset, 4);
  }

  u64(offset: number): LoadedSlot {
    return new LoadedSlot(this, offset, 8);
  }
}

export class LoadedSlot implements Loaded {
  readonly kind = 'loaded';
  readonly data: OutputSlot;
  readonly offset: number;
  readonly sizeBytes: 4 | 8;

  constructor(data: OutputSlot, offset: number, sizeBytes: 4 | 8) {
    if (offset < 0 || offset + sizeBytes > data.sizeBytes) throw new RangeError('a loaded word must lie in its output');
    this.data = data;
    this.offset = offset;
    this.sizeBytes = sizeBytes;
  }
}

/** Page runs as the agent reads them: struct agent_run, three 64-bit words each. */
export function encodeRuns(runs: readonly PageRun[]): Buffer {
  // Mostly a slice of Node's pool, which is aligned so.
  const bytes = Buffer.allocUnsafe(runs.length * RUN_SIZE);
  const words = new BigUint64Array(bytes.buffer, bytes.byteOffset, runs.length * 3);
  let at = 0;
  for (const run of runs) {
    words[at++] = run.addr;
    words[at++] = run.lengthBytes;
    words[at++] = run.fileOffset;
  }
  return bytes;
}
