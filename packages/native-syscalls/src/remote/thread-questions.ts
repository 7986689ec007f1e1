/**
 * One program asked of all further threads of a frozen task, as visitThreads() runs programs of their own: laid out once and copied for
 * each, and the threads are sent and taken back by a few native calls. The states on the way are those that thread-visit.ts tells of.
 */
import { CrtsError, type ThreadState } from '@crts/plugin-api';
import { SyscallBatch } from '../batch';
import { SyscallError } from '../errors';
import { addressOf, keepReachable } from '../memory';
import { NT_PRSTATUS } from '../ptrace';
import { userRegs } from '../struct/tables';
import { WNOHANG, waitPid } from '../wait';
import { xstateEnds } from '../xstate';
import { type Batch, encodeBatch, settleBatch } from './encoder';
import type { ProgramBuilder } from './program-builder';
import { ROUND, ROUND_AT, THREAD, THREAD_ENTRY } from './protocol';
import { QUIET, restartingRegs, setReg, USER_REGS_SIZE } from './registers';
import { FRAME_SIZE, fpstateSize, writeFpstate, writeOwnFrame } from './sigframe';
import { goOnFromStop, waitForEventStop } from './stops';
import type { AgentPlace } from './thread-visit';
import { ALL_SIGNALS, align, HEAD, STACK_BYTES, waitForRound } from './threads';
import { unmet } from './unmet';

const PTRACE_CONT = 7;
const PTRACE_SETREGSET = 0x4205;
const PTRACE_INTERRUPT = 0x4207;
const PTRACE_SETSIGMASK = 0x420b;
const WALL = 0x4000_0000;
const TWO32 = 0x1_0000_0000;
const RSP = userRegs.offsets.rsp;

export interface AskedThread {
  readonly tid: number;
  readonly state: ThreadState;
}

/** Places in the block of a thread, which begins with struct agent_thread. */
interface Layout {
  readonly stackEnd: number;
  readonly frame: number;
  readonly fpstate: number;
  readonly program: number;
  readonly size: number;
}

/**
 * `answered` is called for each thread when the results of `program` are its own, and it is itself again.
 * @throws CrtsError of the first instruction whose expectation was unmet; all threads are themselves again then
 */
export function questionThreads(
  place: AgentPlace,
  threads: readonly AskedThread[],
  { instructions }: ProgramBuilder,
  answered: (index: number) => void,
): void {
  const { arena } = place;
  const roundAt = arena.length - ROUND_AT;
  const template = Buffer.from(new ArrayBuffer(roundAt));
  const batch = encodeBatch(instructions, 0, template, template.length);
  if (batch.count < instructions.length || batch.fds.length > 0) throw tooLarge();
  const layout = layoutFor(threads, batch);
  const perRound = Math.floor(roundAt / layout.size);
  if (perRound === 0) throw tooLarge();
  const program = template.subarray(0, batch.usedBytes);
  for (let first = 0; first < threads.length; first += perRound) {
    const some = threads.slice(first, first + perRound);
    runRound(place, some, layout, program, batch);
    for (const [index, { tid }] of some.entries()) {
      const at = index * layout.size;
      const done = Math.min(Number(arena.readBigUInt64LE(at + THREAD.done)), batch.count);
      settleBatch(instructions, 0, batch, arena.subarray(at + layout.program, at + layout.size), done);
      if (done < batch.count) throw unmet(instructions[done]!, tid);
      answered(first + index);
    }
  }
}

function layoutFor(threads: readonly AskedThread[], { usedBytes }: Batch): Layout {
  const fpstateBytes = threads.reduce((most, { state }) => Math.max(most, fpstateSize(state.xstate, xstateEnds())), 0);
  const stackEnd = HEAD + STACK_BYTES;
  const frame = stackEnd + align(USER_REGS_SIZE);
  const fpstate = frame + FRAME_SIZE;
  const program = fpstate + align(fpstateBytes);
  return { stackEnd, frame, fpstate, program, size: program + align(usedBytes) };
}

function runRound(
  { pid, area, areaSize, arena }: AgentPlace,
  threads: readonly AskedThread[],
  layout: Layout,
  program: Buffer,
  batch: Batch,
): void {
  const base = area + areaSize - BigInt(arena.length);
  const roundAt = arena.length - ROUND_AT;
  threads.forEach(({ state }, index) => {
    writeBlock(arena, index * layout.size, base, state, layout, program, batch.count);
  });
  arena.fill(0, roundAt, roundAt + ROUND.size);
  arena.writeUInt32LE(threads.length, roundAt + ROUND.running);
  arena.writeUInt32LE(1, roundAt + ROUND.inside);
  sendAllIn(threads, area + THREAD_ENTRY, (index) => base + BigInt(index * layout.size));
  waitForRound(arena, roundAt, () => {
    for (const { tid } of threads) goOnFromStop(pid, tid, 'the programs of its threads');
  });
  takeAllBack(threads);
  arena.writeUInt32LE(0, roundAt + ROUND.inside);
}

function writeBlock(
  arena: Buffer,
  at: number,
  base: bigint,
  state: ThreadState,
  layout: Layout,
  program: Buffer,
  count: number,
): void {
  const address = (offset: number): bigint => base + BigInt(at + offset);
  const restarting = restartingRegs(state.prstatus);
  restarting?.copy(arena, at + layout.stackEnd);
  // Its own frame is as rt_sigreturn finds it: behind the return address that its restorer has taken off.
  writeOwnFrame(arena, at + layout.frame, state, 0n, address(layout.fpstate));
  writeFpstate(arena, at + layout.fpstate, state.xstate, xstateEnds());
  program.copy(arena, at + layout.program);
  const word = (offset: number, value: bigint): void => {
    arena.writeBigUInt64LE(value, at + offset);
  };
  word(THREAD.mask, ALL_SIGNALS);
  word(THREAD.stack, address(layout.stackEnd));
  state.prstatus.copy(arena, at + THREAD.ownStack, RSP, RSP + 8);
  word(THREAD.frame, address(layout.frame + 8));
  word(THREAD.restart, restarting === undefined ? 0n : address(layout.stackEnd));
  word(THREAD.ownMask, state.sigmask);
  word(THREAD.round, base + BigInt(arena.length - ROUND_AT));
  word(THREAD.program, address(layout.program));
  word(THREAD.programSize, BigInt(program.length));
  word(THREAD.count, BigInt(count));
  word(THREAD.done, 0n);
}

/** Registers of threads, with what PTRACE_SETREGSET and PTRACE_SETSIGMASK take of each. */
class Registers {
  readonly #bytes: Buffer;
  readonly #vectors: Uint32Array;
  readonly #masks: BigUint64Array;
  readonly #vectorAt: number;
  readonly #maskAt: number;

  constructor(threads: readonly AskedThread[]) {
    const count = threads.length;
    this.#bytes = Buffer.from(new ArrayBuffer(count * USER_REGS_SIZE));
    this.#vectors = new Uint32Array(4 * count);
    this.#masks = new BigUint64Array(count + 1);
    this.#masks[count] = ALL_SIGNALS;
    this.#vectorAt = addressOfWords(this.#vectors);
    this.#maskAt = addressOfWords(this.#masks);
    const bytesAt = Number(addressOf(this.#bytes));
    threads.forEach(({ state }, index) => {
      state.prstatus.copy(this.#bytes, index * USER_REGS_SIZE);
      this.#masks[index] = state.sigmask;
      const address = bytesAt + index * USER_REGS_SIZE;
      this.#vectors[4 * index] = address;
      this.#vectors[4 * index + 1] = Math.floor(address / TWO32);
      this.#vectors[4 * index + 2] = USER_REGS_SIZE;
    });
  }

  of(index: number): Buffer {
    return this.#bytes.subarray(index * USER_REGS_SIZE, (index + 1) * USER_REGS_SIZE);
  }

  set(batch: SyscallBatch, tid: number, index: number): void {
    batch.add('ptrace', PTRACE_SETREGSET, tid, NT_PRSTATUS, this.#vectorAt + 16 * index);
  }

  setOwnMask(batch: SyscallBatch, tid: number, index: number): void {
    batch.add('ptrace', PTRACE_SETSIGMASK, tid, 8, this.#maskAt + 8 * index);
  }

  blockAll(batch: SyscallBatch, tid: number): void {
    this.setOwnMask(batch, tid, this.#masks.length - 1);
  }

  /** @throws SyscallError of the first call that failed */
  run(batch: SyscallBatch): void {
    batch.run();
    keepReachable(this.#bytes, this.#masks);
    for (let call = 0; call < batch.count; call++) {
      const result = batch.result(call);
      if (result < 0) throw new SyscallError('ptrace of a thread in the agent', -result);
    }
  }
}

function sendAllIn(threads: readonly AskedThread[], entry: bigint, blockOf: (index: number) => bigint): void {
  const registers = new Registers(threads);
  const batch = new SyscallBatch(3 * threads.length);
  threads.forEach(({ tid }, index) => {
    const regs = registers.of(index);
    setReg(regs, 'eflags', QUIET.eflags);
    setReg(regs, 'cs', QUIET.cs);
    setReg(regs, 'ss', QUIET.ss);
    setReg(regs, 'rip', entry);
    setReg(regs, 'rdi', blockOf(index));
    setReg(regs, 'orig_rax', -1n);
    registers.set(batch, tid, index);
    registers.blockAll(batch, tid);
    batch.add('ptrace', PTRACE_CONT, tid);
  });
  registers.run(batch);
}

/** The threads wait in the agent: they are themselves again in the stops that they are asked for. */
function takeAllBack(threads: readonly AskedThread[]): void {
  const statuses = new Int32Array(threads.length);
  const statusAt = addressOfWords(statuses);
  const ask = new SyscallBatch(2 * threads.length);
  for (const { tid } of threads) ask.add('ptrace', PTRACE_INTERRUPT, tid);
  threads.forEach(({ tid }, index) => {
    ask.add('wait4', tid, statusAt + 4 * index, WNOHANG | WALL);
  });
  ask.run();
  threads.forEach(({ tid }, index) => {
    const isTold = ask.result(threads.length + index) > 0;
    waitForEventStop(tid, isTold ? statuses[index]! : waitPid(tid)!.status);
  });
  const registers = new Registers(threads);
  const batch = new SyscallBatch(2 * threads.length);
  threads.forEach(({ tid }, index) => {
    registers.setOwnMask(batch, tid, index);
    registers.set(batch, tid, index);
  });
  registers.run(batch);
}

function addressOfWords({ buffer }: Int32Array | Uint32Array | BigUint64Array): number {
  return Number(addressOf(new Uint8Array(buffer)));
}

function tooLarge(): CrtsError {
  return new CrtsError({
    code: 'CRTS_PROGRAM_TOO_LARGE',
    kind: 'bug',
    what: 'what is asked of every thread does not fit into the arena, or takes descriptors',
    hint: 'Report this; a handler asks too much of a thread.',
  });
}
