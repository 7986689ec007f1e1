/**
 * Programs that run in further threads of a task: struct agent_thread and struct agent_round of protocol.h, laid into the
 * arena, as many as fit. How a thread gets there is the dump's (infection.ts) and the restore's (stub.ts) own.
 */
import { CrtsError, type ThreadState } from '@crts/plugin-api';
import { addon } from '../addon';
import { SyscallError } from '../errors';
import { rawSyscall } from '../syscall';
import { xstateEnds } from '../xstate';
import { type Batch, encodeBatch, settleBatch } from './encoder';
import type { ProgramBuilder } from './program-builder';
import { INSTRUCTION, ROUND, THREAD } from './protocol';
import { getReg, restartingRegs, USER_REGS_SIZE } from './registers';
import type { SealedBatch } from './sealed';
import { encodeFpstate, encodeOwnFrame, FRAME_SIZE } from './sigframe';
import { unmet } from './unmet';

/** A program for a thread. It takes no descriptors and makes no tasks. */
export interface ThreadProgram {
  readonly tid: number;
  readonly program: ProgramBuilder;
}

/** A program for a thread that has a state of its own to go back to. */
export interface ThreadRun extends ThreadProgram {
  readonly state: ThreadState;
}

/** A program, and its next instruction. */
export interface Waiting<R extends ThreadProgram> {
  readonly run: R;
  readonly start: number;
}

interface Block<R extends ThreadProgram> extends Waiting<R> {
  /** Of its struct agent_thread, in the task. */
  readonly address: bigint;
  readonly at: number;
  readonly batch: Batch | SealedBatch;
  /** Where its program lies. */
  readonly arena: Buffer;
}

/** Where in the arena blocks go, and where struct agent_round lies. Offsets in bytes, multiples of 64. */
export interface RoundPlace {
  readonly from: number;
  readonly to: number;
  readonly roundAt: number;
}

export const ALL_SIGNALS = (1n << 64n) - 1n;
/** The program's stack: run() and what it calls need 600 bytes. */
export const STACK_BYTES = 2048;
/** The extended state in a signal frame must be aligned so. */
const ALIGN = 64;
export const HEAD = align(THREAD.size);
const FUTEX_WAIT = 0;
/** How long the engine sleeps before it looks after the threads. */
const LOOK_AFTER_NS = 50_000_000n;
const EAGAIN = 11;
const EINTR = 4;
const ETIMEDOUT = 110;

/** Programs of threads that run side by side. */
export class ThreadRound<R extends ThreadProgram = ThreadRun> {
  readonly blocks: Block<R>[] = [];
  readonly #arena: Buffer;
  readonly #base: bigint;
  readonly #place: RoundPlace;
  #at: number;

  /** `base`: address of the arena in the task. */
  constructor(arena: Buffer, base: bigint, place: RoundPlace) {
    this.#arena = arena;
    this.#base = base;
    this.#place = place;
    this.#at = place.from;
  }

  /** Lays in as many as fit, at least a part of the first; returns the others. */
  fill(waiting: readonly Waiting<R>[], max = Number.POSITIVE_INFINITY): Waiting<R>[] {
    let count = 0;
    while (count < waiting.length && count < max && this.#add(waiting[count]!)) count += 1;
    const { roundAt } = this.#place;
    this.#arena.fill(0, roundAt, roundAt + ROUND.size);
    this.#arena.writeUInt32LE(count, roundAt + ROUND.running);
    return waiting.slice(count);
  }

  /** Address of the word that becomes 1 when all programs have ended. */
  get finishedAddress(): bigint {
    return this.#base + BigInt(this.#place.roundAt + ROUND.finished);
  }

  get finished(): boolean {
    return this.#arena.readUInt32LE(this.#place.roundAt + ROUND.finished) === 1;
  }

  /** Sleeps until all programs have ended; `lookAfter` is called now and then, and throws when that cannot be any more. */
  wait(lookAfter: () => void): void {
    waitForRound(this.#arena, this.#place.roundAt, lookAfter);
  }

  /**
   * Takes results and outputs back; returns what is left of programs that did not fit.
   * @throws CrtsError of the first instruction whose expectation was unmet
   */
  settle(): Waiting<R>[] {
    const left: Waiting<R>[] = [];
    let error: Error | undefined;
    for (const { run, start, at, batch, arena } of this.blocks) {
      const { instructions, sealed } = run.program;
      const done = Math.min(Number(this.#arena.readBigUInt64LE(at + THREAD.done)), batch.count);
      if (!('data' in batch)) {
        batch.settle(arena, done);
        if (done < batch.count) error ??= sealed!.unmet(batch, done, run.tid);
        continue;
      }
      settleBatch(instructions, start, batch, arena, done);
      if (done < batch.count) error ??= unmet(instructions[start + done]!, run.tid);
      else if (start + done < instructions.length) left.push({ run, start: start + done });
    }
    if (error !== undefined) throw error;
    return left;
  }

  #add({ run, start }: Waiting<R>): boolean {
    const state = (run as ThreadProgram & { readonly state?: ThreadState }).state;
    const at = this.#at;
    const stackEnd = at + HEAD + STACK_BYTES;
    const frameAt = stackEnd + (state === undefined ? 0 : align(USER_REGS_SIZE));
    const fpstate = state === undefined ? undefined : encodeFpstate(state.xstate, xstateEnds());
    const fpstateAt = frameAt + FRAME_SIZE;
    const programAt = fpstate === undefined ? frameAt : fpstateAt + align(fpstate.length);
    const arena = this.#arena.subarray(programAt, this.#place.to);
    const batch = this.#encode(run.program, start, arena);
    if (batch === undefined) return false;
    const size = align(batch.usedBytes);
    if (batch.fds.length > 0) throw takesDescriptors();
    const restarting = state === undefined ? undefined : restartingRegs(state.prstatus);
    restarting?.copy(this.#arena, stackEnd);
    if (state !== undefined && fpstate !== undefined) {
      encodeOwnFrame(state, 0n, this.#base + BigInt(fpstateAt)).copy(this.#arena, frameAt);
      fpstate.copy(this.#arena, fpstateAt);
    }
    const word = (offset: number, value: bigint): void => {
      this.#arena.writeBigUInt64LE(value, at + offset);
    };
    word(THREAD.mask, ALL_SIGNALS);
    word(THREAD.stack, this.#base + BigInt(stackEnd));
    word(THREAD.ownStack, state === undefined ? 0n : getReg(state.prstatus, 'rsp'));
    // The frame as rt_sigreturn finds it: behind the return address that its restorer has taken off.
    word(THREAD.frame, state === undefined ? 0n : this.#base + BigInt(frameAt + 8));
    word(THREAD.restart, restarting === undefined ? 0n : this.#base + BigInt(stackEnd));
    word(THREAD.ownMask, state?.sigmask ?? ALL_SIGNALS);
    word(THREAD.round, this.#base + BigInt(this.#place.roundAt));
    word(THREAD.program, this.#base + BigInt(programAt));
    word(THREAD.programSize, BigInt(batch.usedBytes));
    word(THREAD.count, BigInt(batch.count));
    word(THREAD.done, 0n);
    this.#at = programAt + size;
    this.blocks.push({ run, start, at, address: this.#base + BigInt(at), batch, arena });
    return true;
  }

  /** The first of a round takes what it gets, and the rest of its program comes in the next one; others come whole or later. */
  #encode({ instructions, sealed }: ProgramBuilder, start: number, arena: Buffer): Batch | SealedBatch | undefined {
    if (sealed !== undefined) {
      const [batch] = sealed.batches as readonly [SealedBatch];
      if (batch.usedBytes > arena.length) return undefined;
      batch.load(arena);
      return batch;
    }
    if (this.blocks.length === 0) return encodeBatch(instructions, start, arena, arena.length);
    if (arena.length < instructions.length * INSTRUCTION.size) return undefined;
    try {
      const batch = encodeBatch(instructions, start, arena, arena.length);
      return start + batch.count < instructions.length ? undefined : batch;
    } catch (error) {
      if (error instanceof CrtsError && error.code === 'CRTS_PROGRAM_TOO_LARGE') return undefined;
      throw error;
    }
  }
}

/** ThreadRound.wait() for a round that lies there. */
export function waitForRound(arena: Buffer, roundAt: number, lookAfter: () => void): void {
  const word = addon().addressOf(arena) + BigInt(roundAt + ROUND.finished);
  const timeout = new BigInt64Array([0n, LOOK_AFTER_NS]);
  while (arena.readUInt32LE(roundAt + ROUND.finished) !== 1) {
    const result = rawSyscall('futex', word, FUTEX_WAIT, 0, timeout, null, 0);
    if (result === -ETIMEDOUT) lookAfter();
    else if (result < 0 && result !== -EAGAIN && result !== -EINTR) throw new SyscallError('futex', -result);
  }
}

export function align(size: number): number {
  return Math.ceil(size / ALIGN) * ALIGN;
}

function takesDescriptors(): CrtsError {
  return new CrtsError({
    code: 'CRTS_PROGRAM_TOO_LARGE',
    kind: 'bug',
    what: "the program of a thread takes a descriptor, which only the task's own can",
    hint: 'Report this; the handler must take it in a pass of the task.',
  });
}
