/**
 * Programs that are encoded when they are compiled: bytes as the agent reads them, instead of objects that V8 keeps and moves about
 * until they run. Of a failure the plan is compiled once more, to tell which instruction it was: docs/adr/0036.
 */
import { CrtsError, type LateFd } from '@crts/plugin-api';
import { errnoName } from '../errors';
import { type Batch, encodeBatch, isPlain, type LateWord, overwrite } from './encoder';
import { DataSlot, type Instruction, OutputSlot, ResultHome } from './instruction';
import { ProgramBuilder } from './program-builder';
import { INSTRUCTION, OP } from './protocol';
import { unmet } from './unmet';

/** Compiles the same program again; undefined where that fails. */
export type Recall = () => ProgramBuilder | undefined;

/** Bytes of many programs lie side by side. */
const SLAB_BYTES = 1024 * 1024;
const ALIGN = 16;
/** Of a thread: a round has many of them. */
const THREAD_BYTES_MAX = 16 * 1024;

/** Encodes programs for arenas that take batches of so many bytes. */
export class Sealer {
  readonly #scratch: Buffer;
  #slab = Buffer.from(new ArrayBuffer(0));
  #used = 0;

  constructor(limit: number) {
    this.#scratch = Buffer.from(new ArrayBuffer(limit));
  }

  /** The program has no instructions afterwards. Transfers that the engine takes part in stay as they are. */
  seal(program: ProgramBuilder, recall: Recall): void {
    const { instructions } = program;
    for (let index = 0; index < instructions.length; index++) if (instructions[index]!.together !== undefined) return;
    const batches: SealedBatch[] = [];
    for (let start = 0; start < instructions.length; ) {
      const batch = this.#encode(program, start);
      batches.push(this.#keep(program, start, batch));
      start += batch.count;
    }
    program.adopt(new SealedProgram(batches, recall));
  }

  /**
   * The same for a further thread; a long program, which takes several batches, stays as it is. Others may be like it when its parts
   * begin at `starts`: the model for sealLike().
   */
  sealThread(program: ProgramBuilder, recall: Recall, starts: readonly number[] = []): Model | undefined {
    if (program.instructions.length === 0) return undefined;
    const batch = this.#encode(program, 0);
    if (batch.count < program.instructions.length || batch.usedBytes > THREAD_BYTES_MAX) return undefined;
    const sealed = this.#keep(program, 0, batch);
    const model = program.instructions.every(isPlain)
      ? { batch: sealed, parts: partsOf(program.instructions, starts) }
      : undefined;
    program.adopt(new SealedProgram([sealed], recall));
    return model;
  }

  /**
   * A program that is the same as a sealed one but for some instructions, sealed as well; undefined where it is not enough to write
   * those over what is in their places.
   */
  sealLike({ batch, parts }: Model, changes: readonly Change[], recall: Recall): ProgramBuilder | undefined {
    const { bytes, count, usedBytes, zeroEnd, fds } = batch;
    const copy = this.#scratch.subarray(0, bytes.length);
    copy.set(bytes);
    for (const { part, instructions } of changes) {
      const { first, old, isApart } = parts[part]!;
      if (!isApart || old.length !== instructions.length) return undefined;
      for (let index = 0; index < old.length; index++)
        if (!overwrite(old[index]!, instructions[index]!, first + index, copy)) return undefined;
    }
    const sealed = new SealedBatch(this.#copy(bytes.length), {
      count,
      usedBytes,
      zeroEnd,
      fds,
      data: NONE,
      late: undefined,
    });
    for (const { part, instructions } of changes)
      for (let index = 0; index < instructions.length; index++)
        settleIn(sealed, parts[part]!.first + index, instructions[index]!);
    const program = new ProgramBuilder();
    program.adopt(new SealedProgram([sealed], recall));
    return program;
  }

  #encode({ instructions }: ProgramBuilder, start: number): Batch {
    return encodeBatch(instructions, start, this.#scratch, this.#scratch.length, []);
  }

  #keep({ instructions }: ProgramBuilder, start: number, batch: Batch): SealedBatch {
    const sealed = new SealedBatch(this.#copy(batch.contentEnd), batch);
    for (let index = 0; index < batch.count; index++) instructions[start + index]!.result.home = sealed;
    return sealed;
  }

  #copy(length: number): Buffer {
    if (this.#used + length > this.#slab.length) {
      this.#slab = Buffer.from(new ArrayBuffer(Math.max(SLAB_BYTES, length)));
      this.#used = 0;
    }
    const bytes = this.#slab.subarray(this.#used, this.#used + length);
    this.#used += length + (-length & (ALIGN - 1));
    bytes.set(this.#scratch.subarray(0, length));
    return bytes;
  }
}

/** A sealed program that others are like. */
export interface Model {
  readonly batch: SealedBatch;
  readonly parts: readonly Part[];
}

interface Part {
  readonly first: number;
  readonly old: readonly Instruction[];
  /** Nothing else refers to its data. */
  readonly isApart: boolean;
}

/** Instructions in the place of those of a part. */
export interface Change {
  readonly part: number;
  readonly instructions: readonly Instruction[];
}

function partsOf(instructions: readonly Instruction[], starts: readonly number[]): Part[] {
  const uses = new Map<DataSlot, number>();
  const dataOf = ({ args }: Instruction) => args.filter((arg) => arg instanceof DataSlot);
  for (const slot of instructions.flatMap(dataOf)) uses.set(slot, (uses.get(slot) ?? 0) + 1);
  return starts.map((first, part) => {
    const old = instructions.slice(first, starts[part + 1]);
    return { first, old, isApart: old.flatMap(dataOf).every((slot) => uses.get(slot) === 1) };
  });
}

/** The instruction's result is the batch's from now on. */
function settleIn(batch: SealedBatch, index: number, { result }: Instruction): void {
  result.home = batch;
  result.index = index;
}

/** A piece of data that is written to. */
interface Moving {
  readonly slot: DataSlot;
  readonly at: number;
}

/** What is kept of an encoded batch. */
type Encoded = Omit<Batch, 'contentEnd'>;

const NO_FDS: readonly (number | LateFd)[] = [];
const NONE: readonly never[] = [];

export class SealedBatch extends ResultHome {
  readonly count: number;
  readonly usedBytes: number;
  readonly fds: readonly (number | LateFd)[];
  readonly bytes: Buffer;
  readonly zeroEnd: number;
  readonly #late: readonly LateWord[];
  readonly #moving: readonly Moving[];
  #ran = 0;

  constructor(bytes: Buffer, { count, usedBytes, zeroEnd, fds, late, data }: Encoded) {
    super();
    this.count = count;
    this.usedBytes = usedBytes;
    this.fds = fds.length === 0 ? NO_FDS : fds;
    this.bytes = bytes;
    this.zeroEnd = zeroEnd;
    this.#late = late === undefined || late.length === 0 ? NONE : late;
    let moving: Moving[] | undefined;
    for (let index = 0; index < data.length; index++) {
      const slot = data[index]!;
      if (!slot.isWritten) continue;
      moving ??= [];
      moving.push({ slot, at: slot.at });
    }
    this.#moving = moving ?? NONE;
  }

  /** Lays it into an arena. */
  load(arena: Buffer): void {
    const { bytes } = this;
    arena.set(bytes);
    if (this.zeroEnd > bytes.length) arena.fill(0, bytes.length, this.zeroEnd);
    for (const { at, result, added } of this.#late) arena.writeBigInt64LE(BigInt.asIntN(64, result.value + added), at);
    for (const { slot, at } of this.#moving) if (slot.content !== undefined) arena.set(slot.content, at);
  }

  /** Takes results and outputs back after `done` instructions were good. */
  settle(arena: Buffer, done: number): void {
    this.#ran = Math.min(done + 1, this.count);
    this.bytes.set(arena.subarray(0, this.#ran * INSTRUCTION.size));
    for (const { slot, at } of this.#moving) {
      const content = Buffer.from(arena.subarray(at, at + slot.sizeBytes));
      if (slot instanceof OutputSlot) slot.settle(content);
      else slot.content = content;
    }
  }

  resultAt(index: number): bigint | undefined {
    if (index >= this.#ran) return undefined;
    return this.bytes.readBigInt64LE(index * INSTRUCTION.size + INSTRUCTION.result);
  }

  /** Which operation it is, and of which system call. */
  operation(index: number): { readonly op: number; readonly nr: number } {
    const at = index * INSTRUCTION.size;
    return {
      op: this.bytes.readUInt32LE(at + INSTRUCTION.op),
      nr: this.bytes.readUInt32LE(at + INSTRUCTION.nr),
    };
  }
}

export class SealedProgram {
  constructor(
    readonly batches: readonly SealedBatch[],
    readonly recall: Recall,
  ) {}

  get count(): number {
    return this.batches.reduce((sum, { count }) => sum + count, 0);
  }

  /** The error of an instruction whose expectation was unmet in task or thread `pid`, when its batch is settled. */
  unmet(batch: SealedBatch, index: number, pid: number): Error {
    const instructions = this.recall()?.instructions ?? [];
    const { op, nr } = batch.operation(index);
    const value = batch.resultAt(index)!;
    let at = 0;
    for (const one of this.batches) {
      if (one === batch) break;
      at += one.count;
    }
    const instruction = instructions[at + index];
    const isSame =
      instructions.length === this.count && instruction?.op === op && (op !== OP.SYSCALL || instruction.nr === nr);
    if (!isSame) return unnamed(op, nr, value, pid);
    // What the error tells may have to do with the results before.
    let first = 0;
    for (const one of this.batches) {
      for (let i = 0; i < one.count; i++) {
        const known = one.resultAt(i);
        if (known !== undefined) instructions[first + i]!.result.settle(known);
      }
      first += one.count;
    }
    return unmet(instruction, pid);
  }
}

/** The images, or what is around them, are not any more what they were. */
function unnamed(op: number, nr: number, value: bigint, pid: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_CALL_FAILED',
    what: 'a system call inside the task failed; the images changed meanwhile, so that it is not known what it was for',
    pid,
    call: op === OP.SYSCALL ? `system call ${nr}` : `operation ${op} of the agent`,
    errno: value < 0n && value > -4096n ? errnoName(Number(-value)) : `result ${value}`,
  });
}
