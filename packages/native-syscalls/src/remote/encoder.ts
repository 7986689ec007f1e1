import type { Arg, LateFd } from '@crts/plugin-api';
import { CrtsError } from '@crts/plugin-api';
import { DataSlot, type Instruction, LoadedSlot, OutputSlot, ResultSlot, ScratchSlot } from './instruction';
import { showInstruction } from './program-text';
import { ARG, INSTRUCTION, MAX_FDS, OP, SUM_BITS } from './protocol';

/** As many instructions of a program as fit into the arena at once. */
export interface Batch {
  readonly count: number;
  /** Engine descriptors to send with the request, in the order of the RECEIVE_FD instructions. */
  readonly fds: readonly (number | LateFd)[];
  /** Pieces of data in the arena; each knows where: DataSlot.at. */
  readonly data: readonly DataSlot[];
  /** Of the arena, from its start. Data that has contents comes first, then what is to be zero, then what may be anything. */
  readonly usedBytes: number;
  readonly contentEnd: number;
  readonly zeroEnd: number;
  /** Where results go that are not known yet; undefined when all must be. */
  readonly late: LateWord[] | undefined;
}

/** A word of the arena for the result of an earlier batch. */
export interface LateWord {
  /** Offset in bytes. */
  readonly at: number;
  readonly result: ResultSlot;
  readonly added: bigint;
}

/** Data is aligned for any structure of the kernel. */
const ALIGN = 16;
const TWO32 = 0x1_0000_0000;
/** Of an instruction, and offsets in it: in words of 32 and of 64 bits. */
const SIZE32 = INSTRUCTION.size / 4;
const SIZE64 = INSTRUCTION.size / 8;
const NR32 = INSTRUCTION.nr / 4;
const ARG32 = INSTRUCTION.arg / 4;
const LOW32 = INSTRUCTION.expectLow / 4;
const HIGH32 = INSTRUCTION.expectHigh / 4;
const RESULT64 = INSTRUCTION.result / 8;

/**
 * Writes instructions from `start` on into `arena`, which lies at an address for 64-bit words; its first `limit` bytes may be used.
 * This runs while the task stands still, mostly interpreted: plain stores into typed arrays, nothing is allocated per instruction.
 */
export function encodeBatch(
  instructions: readonly Instruction[],
  start: number,
  arena: Buffer,
  limit: number,
  late?: LateWord[],
): Batch {
  const batch = measure(instructions, start, limit, late);
  for (let at = 0; at < batch.data.length; at++) {
    const slot = batch.data[at]!;
    if (slot.content !== undefined) arena.set(slot.content, slot.at);
  }
  if (batch.zeroEnd > batch.contentEnd) arena.fill(0, batch.contentEnd, batch.zeroEnd);
  const w32 = new Uint32Array(arena.buffer, arena.byteOffset, batch.count * SIZE32);
  const w64 = new BigInt64Array(arena.buffer, arena.byteOffset, batch.count * SIZE64);
  for (let i = 0; i < batch.count; i++) {
    const instruction = instructions[start + i]!;
    try {
      writeInstruction(instruction, w32, w64, i * SIZE32, batch);
    } catch (error) {
      throw badArgument(instruction, error);
    }
    instruction.result.home = batch;
    instruction.result.index = i;
  }
  return batch;
}

/**
 * Writes an instruction over one that is in an encoded batch already. Only what has no more than values and data of its own, and is
 * the same call with data of the same sizes, can be in the other one's place: false where that is not so.
 */
export function overwrite(old: Instruction, now: Instruction, index: number, bytes: Buffer): boolean {
  if (old.op !== now.op || old.nr !== now.nr || old.args.length !== now.args.length || !isPlain(now)) return false;
  for (let at = 0; at < now.args.length; at++) {
    const slot = now.args[at]!;
    if (!(slot instanceof DataSlot)) continue;
    const place = old.args[at]!;
    if (!(place instanceof DataSlot) || align(place.sizeBytes) !== align(slot.sizeBytes)) return false;
    slot.at = place.at;
    bytes.set(slot.content!, slot.at);
  }
  const w32 = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  const w64 = new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.length >> 3);
  try {
    writeInstruction(now, w32, w64, index * SIZE32, NO_BATCH);
  } catch (error) {
    throw badArgument(now, error);
  }
  return true;
}

const NO_BATCH: Batch = { count: 0, fds: [], data: [], usedBytes: 0, contentEnd: 0, zeroEnd: 0, late: undefined };

/** It refers to nothing but data that has its contents and that nobody writes to. */
export function isPlain({ args, storeAt, sendFds, together }: Instruction): boolean {
  if (storeAt !== undefined || sendFds !== undefined || together !== undefined) return false;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at]!;
    if (typeof arg !== 'object' || arg === null) continue;
    if (!(arg instanceof DataSlot) || arg.isWritten || arg.content === undefined) return false;
  }
  return true;
}

/** Who emitted it may be a plugin in JavaScript. */
function badArgument({ name, origin, options }: Instruction, cause: unknown): CrtsError {
  const { plugin, stage } = origin;
  return new CrtsError({
    code: 'CRTS_PLUGIN_MISTAKE',
    kind: 'bug',
    plugin,
    stage,
    what: `${options.what ?? 'an argument of a call'}: ${(cause as Error).message}`,
    call: name,
    hint: 'This is a mistake in the plugin: report it to its author.',
    cause,
  });
}

/** Takes results and outputs back after `done` instructions of the batch were good. */
export function settleBatch(
  instructions: readonly Instruction[],
  start: number,
  batch: Batch,
  arena: Buffer,
  done: number,
): void {
  const ran = Math.min(done + 1, batch.count);
  const w64 = new BigInt64Array(arena.buffer, arena.byteOffset, batch.count * SIZE64);
  for (let i = 0; i < ran; i++) {
    const instruction = instructions[start + i]!;
    instruction.result.settle(w64[i * SIZE64 + RESULT64]!);
    if (instruction.storeAt !== undefined) {
      const { data } = instruction.storeAt;
      data.content = copyOut(arena, data);
    }
  }
  for (const data of batch.data) if (data instanceof OutputSlot) data.settle(copyOut(arena, data));
}

function copyOut(arena: Buffer, { at, sizeBytes }: DataSlot): Buffer {
  return Buffer.from(arena.subarray(at, at + sizeBytes));
}

function measure(
  instructions: readonly Instruction[],
  start: number,
  limit: number,
  late: LateWord[] | undefined,
): Batch {
  const data: DataSlot[] = [];
  const fds: (number | LateFd)[] = [];
  const batch = { count: 0, fds, data, usedBytes: 0, contentEnd: 0, zeroEnd: 0, late };
  let used = 0;
  let count = 0;
  for (let i = start; i < instructions.length; i++) {
    const instruction = instructions[i]!;
    if (instruction.together !== undefined && i > start) break;
    const known = data.length;
    let more: number = INSTRUCTION.size;
    if (instruction.storeAt !== undefined) more += enlist(instruction.storeAt.data, batch, data);
    // By index, here and below: iterators are objects as long as this runs interpreted.
    const { args } = instruction;
    for (let at = 0; at < args.length; at++) {
      const slot = dataOfArg(args[at]!);
      if (slot !== undefined) more += enlist(slot, batch, data);
    }
    const sent = instruction.sendFds?.length ?? 0;
    if (used + more + ALIGN > limit || fds.length + sent > MAX_FDS) {
      for (const slot of data.splice(known)) slot.home = undefined;
      break;
    }
    used += more;
    count += 1;
    if (sent > 0) fds.push(...instruction.sendFds!);
    // The engine's share begins when the batch is sent, and only the engine knows when both are done.
    if (instruction.together !== undefined) break;
  }
  // A stored pointer is good in its own batch only: it goes with the call that follows.
  const isCut = start + count < instructions.length;
  let kept = count;
  while (isCut && kept > 0 && instructions[start + kept - 1]!.op === OP.STORE) kept -= 1;
  if (isCut && kept > 0) count = kept;
  if (count === 0 && start < instructions.length) {
    throw new CrtsError({
      code: 'CRTS_PROGRAM_TOO_LARGE',
      kind: 'bug',
      what: `one instruction needs more than the arena's ${limit} bytes: ${showInstruction(instructions[start]!)}`,
      hint: 'Report this; the handler must split its data.',
    });
  }
  batch.count = count;
  batch.contentEnd = place(data, HAS_CONTENT, align(count * INSTRUCTION.size));
  batch.zeroEnd = place(data, ZERO, batch.contentEnd);
  batch.usedBytes = place(data, ANYTHING, batch.zeroEnd);
  return batch;
}

const HAS_CONTENT = 0;
const ZERO = 1;
const ANYTHING = 2;

function stateOfSlot(slot: DataSlot): number {
  if (slot.content !== undefined) return HAS_CONTENT;
  return slot instanceof ScratchSlot ? ANYTHING : ZERO;
}

/** Gives places to data in one state, from `from` on; returns where they end. */
function place(data: readonly DataSlot[], state: number, from: number): number {
  let end = from;
  for (let at = 0; at < data.length; at++) {
    const slot = data[at]!;
    if (stateOfSlot(slot) !== state) continue;
    slot.at = end;
    end += align(slot.sizeBytes);
  }
  return end;
}

/** Bytes that this piece of data adds to the batch. */
function enlist(slot: DataSlot, batch: Batch, data: DataSlot[]): number {
  if (slot.home === batch) return 0;
  slot.home = batch;
  data.push(slot);
  return align(slot.sizeBytes);
}

function dataOfArg(arg: Arg): DataSlot | undefined {
  if (typeof arg !== 'object' || arg === null) return undefined;
  if (arg instanceof DataSlot) return arg;
  if (arg instanceof LoadedSlot) return arg.data;
  if (arg.kind === 'pointer') return arg.data as DataSlot;
  return undefined;
}

function writeInstruction(
  { op, nr, args, storeAt, options }: Instruction,
  w32: Uint32Array,
  w64: BigInt64Array,
  at: number,
  batch: Batch,
): void {
  let kinds = 0;
  for (let i = 0; i < 6; i++) {
    const word = at + ARG32 + 2 * i;
    const arg = i < args.length ? args[i]! : null;
    if (arg === null) {
      w32[word] = 0;
      w32[word + 1] = 0;
    } else if (typeof arg !== 'object') {
      writeWord(w32, w64, word, arg);
    } else {
      kinds |= writeReference(arg, w32, w64, word, batch) << (4 * i);
    }
  }
  w32[at] = op;
  w32[at + 1] = kinds;
  writeWord(w32, w64, at + NR32, storeAt === undefined ? nr : storeAt.data.at + storeAt.offset);
  const expect = options.expect ?? 'ok';
  if (typeof expect === 'string') {
    // Zero, or LONG_MIN, to LONG_MAX.
    w32[at + LOW32] = 0;
    w32[at + LOW32 + 1] = expect === 'ok' ? 0 : 0x8000_0000;
    w32[at + HIGH32] = 0xffff_ffff;
    w32[at + HIGH32 + 1] = 0x7fff_ffff;
  } else {
    writeWord(w32, w64, at + LOW32, expect);
    writeWord(w32, w64, at + HIGH32, expect);
  }
  w64[at / 2 + RESULT64] = 0n;
}

/** Writes what stands for a place or a result; returns its kind. */
function writeReference(
  arg: Exclude<Arg, number | bigint | null>,
  w32: Uint32Array,
  w64: BigInt64Array,
  word: number,
  batch: Batch,
): number {
  let kind: number = ARG.ARENA;
  let value: number | bigint;
  if (arg instanceof DataSlot) value = arg.at;
  else if (arg instanceof ResultSlot) {
    const inBatch = arg.home === batch;
    kind = inBatch ? ARG.RESULT : ARG.IMMEDIATE;
    value = inBatch ? arg.index : earlierValue(arg, 0n, word, batch);
  } else if (arg instanceof LoadedSlot) {
    kind = arg.sizeBytes === 4 ? ARG.LOAD32 : ARG.LOAD64;
    value = arg.data.at + arg.offset;
  } else if (arg.kind === 'sum') {
    const result = arg.result as ResultSlot;
    const inBatch = result.home === batch;
    kind = inBatch ? ARG.SUM : ARG.IMMEDIATE;
    value = inBatch
      ? (arg.offset << BigInt(SUM_BITS)) | BigInt(result.index)
      : earlierValue(result, arg.offset, word, batch);
  } else if (arg.kind === 'pointer') value = (arg.data as DataSlot).at + arg.offset;
  else throw new TypeError('an argument must come from the builder of the same program');
  writeWord(w32, w64, word, value);
  return kind;
}

/** Of an earlier batch, which may not have run yet. */
function earlierValue(result: ResultSlot, added: bigint, word: number, { late }: Batch): bigint {
  if (late === undefined || result.known) return result.value + added;
  late.push({ at: 4 * word, result, added });
  return 0n;
}

/** Two's complement, so that -1 is ~0ul as in C. */
function writeWord(w32: Uint32Array, w64: BigInt64Array, word: number, value: number | bigint): void {
  if (typeof value === 'bigint') {
    w64[word / 2] = value;
    return;
  }
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no safe integer: pass a bigint`);
  w32[word] = value;
  w32[word + 1] = value >= 0 && value < TWO32 ? 0 : Math.floor(value / TWO32);
}

function align(size: number): number {
  return size + (-size & (ALIGN - 1));
}

/** Whether an operation can fail at all is the kernel's to say; this names the agent's own failure. */
export function isProtocolError(instruction: Instruction): boolean {
  return instruction.op !== OP.SYSCALL && instruction.result.value === -74n;
}
