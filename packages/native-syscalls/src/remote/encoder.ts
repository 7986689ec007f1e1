import type { Arg, Expect, LateFd, Result } from '@crts/plugin-api';
import { CrtsError } from '@crts/plugin-api';
import { DataSlot, type Instruction, LoadedSlot, OutputSlot, ResultSlot } from './instruction';
import { showInstruction } from './program-text';
import { ARG, INSTRUCTION, MAX_FDS, OP } from './protocol';

/** As many instructions of a program as fit into the arena at once. */
export interface Batch {
  readonly count: number;
  /** Engine descriptors to send with the request, in the order of the RECEIVE_FD instructions. */
  readonly fds: readonly (number | LateFd)[];
  /** Where each piece of data lies in the arena. */
  readonly placed: ReadonlyMap<DataSlot, number>;
  /** Of the arena, from its start. */
  readonly usedBytes: number;
}

const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;
/** Data is aligned for any structure of the kernel. */
const ALIGN = 16;

/** Writes instructions from `start` on into `arena`; its first `limit` bytes may be used. */
export function encodeBatch(instructions: readonly Instruction[], start: number, arena: Buffer, limit: number): Batch {
  const { count, fds, sizes } = measure(instructions, start, limit);
  const placed = new Map<DataSlot, number>();
  let at = align(count * INSTRUCTION.size);
  for (const [data, size] of sizes) {
    placed.set(data, at);
    if (data.content === undefined) arena.fill(0, at, at + data.sizeBytes);
    else data.content.copy(arena, at);
    at += size;
  }
  const indexes = new Map<Result, number>();
  for (let i = 0; i < count; i++) {
    const instruction = instructions[start + i]!;
    writeInstruction(instruction, arena, i * INSTRUCTION.size, placed, indexes);
    indexes.set(instruction.result, i);
  }
  return { count, fds, placed, usedBytes: at };
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
  for (let i = 0; i < ran; i++) {
    const instruction = instructions[start + i]!;
    instruction.result.settle(arena.readBigInt64LE(i * INSTRUCTION.size + INSTRUCTION.result));
    const stored = instruction.storeAt?.data;
    if (stored !== undefined) stored.content = copyOut(arena, batch, stored);
  }
  for (const data of batch.placed.keys()) if (data instanceof OutputSlot) data.settle(copyOut(arena, batch, data));
}

function copyOut(arena: Buffer, batch: Batch, data: DataSlot): Buffer {
  const at = batch.placed.get(data)!;
  return Buffer.from(arena.subarray(at, at + data.sizeBytes));
}

function measure(instructions: readonly Instruction[], start: number, limit: number) {
  const sizes = new Map<DataSlot, number>();
  const fds: (number | LateFd)[] = [];
  let used = 0;
  let count = 0;
  for (let i = start; i < instructions.length; i++) {
    const instruction = instructions[i]!;
    const fresh = dataOf(instruction).filter((data) => !sizes.has(data));
    const more = INSTRUCTION.size + fresh.reduce((sum, data) => sum + align(data.sizeBytes), 0);
    const sent = instruction.sendFds ?? [];
    if (used + more + ALIGN > limit || fds.length + sent.length > MAX_FDS) break;
    used += more;
    count += 1;
    for (const data of fresh) sizes.set(data, align(data.sizeBytes));
    fds.push(...sent);
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
  return { count, fds, sizes };
}

function dataOf(instruction: Instruction): DataSlot[] {
  const found: DataSlot[] = instruction.storeAt === undefined ? [] : [instruction.storeAt.data];
  for (const arg of instruction.args) {
    const data = dataOfArg(arg);
    if (data !== undefined && !found.includes(data)) found.push(data);
  }
  return found;
}

function dataOfArg(arg: Arg): DataSlot | undefined {
  if (arg instanceof DataSlot) return arg;
  if (arg instanceof LoadedSlot) return arg.data;
  if (typeof arg === 'object' && arg !== null && arg.kind === 'pointer') return arg.data as DataSlot;
  return undefined;
}

function writeInstruction(
  instruction: Instruction,
  arena: Buffer,
  at: number,
  placed: ReadonlyMap<DataSlot, number>,
  indexes: ReadonlyMap<Result, number>,
): void {
  let kinds = 0;
  for (let i = 0; i < 6; i++) {
    const { kind, value } = resolve(instruction.args[i] ?? null, placed, indexes);
    kinds |= kind << (4 * i);
    writeWord(arena, at + INSTRUCTION.arg + 8 * i, value);
  }
  const nr =
    instruction.storeAt === undefined
      ? instruction.nr
      : placed.get(instruction.storeAt.data)! + instruction.storeAt.offset;
  arena.writeUInt32LE(instruction.op, at + INSTRUCTION.op);
  arena.writeUInt32LE(kinds, at + INSTRUCTION.kinds);
  writeWord(arena, at + INSTRUCTION.nr, nr);
  const { low, high } = expectRange(instruction.options.expect ?? 'ok');
  arena.writeBigInt64LE(low, at + INSTRUCTION.expectLow);
  arena.writeBigInt64LE(high, at + INSTRUCTION.expectHigh);
  arena.writeBigInt64LE(0n, at + INSTRUCTION.result);
}

function resolve(arg: Arg, placed: ReadonlyMap<DataSlot, number>, indexes: ReadonlyMap<Result, number>) {
  if (arg === null) return { kind: ARG.IMMEDIATE, value: 0 };
  if (typeof arg !== 'object') return { kind: ARG.IMMEDIATE, value: arg };
  if (arg instanceof ResultSlot) {
    const index = indexes.get(arg);
    if (index !== undefined) return { kind: ARG.RESULT, value: index };
    return { kind: ARG.IMMEDIATE, value: arg.value };
  }
  if (arg instanceof LoadedSlot) {
    return { kind: arg.sizeBytes === 4 ? ARG.LOAD32 : ARG.LOAD64, value: placed.get(arg.data)! + arg.offset };
  }
  if (arg instanceof DataSlot) return { kind: ARG.ARENA, value: placed.get(arg)! };
  if (arg.kind === 'pointer') return { kind: ARG.ARENA, value: placed.get(arg.data as DataSlot)! + arg.offset };
  throw new TypeError('an argument must come from the builder of the same program');
}

/** Two's complement, so that -1 is ~0ul as in C. */
function writeWord(arena: Buffer, at: number, value: number | bigint): void {
  if (typeof value === 'bigint') {
    arena.writeBigUInt64LE(BigInt.asUintN(64, value), at);
    return;
  }
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no safe integer: pass a bigint`);
  arena.writeInt32LE(Math.floor(value / 2 ** 32) | 0, at + 4);
  arena.writeUInt32LE(value >>> 0, at);
}

function expectRange(expect: Expect): { low: bigint; high: bigint } {
  if (expect === 'ok') return { low: 0n, high: LONG_MAX };
  if (expect === 'any') return { low: LONG_MIN, high: LONG_MAX };
  return { low: BigInt(expect), high: BigInt(expect) };
}

function align(size: number): number {
  return Math.ceil(size / ALIGN) * ALIGN;
}

/** Whether an operation can fail at all is the kernel's to say; this names the agent's own failure. */
export function isProtocolError(instruction: Instruction): boolean {
  return instruction.op !== OP.SYSCALL && instruction.result.value === -74n;
}
