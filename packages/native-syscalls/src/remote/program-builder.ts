import {
  type Arg,
  type CallOptions,
  type Data,
  encodeName,
  type LateFd,
  type PageRun,
  type Program,
} from '@crts/plugin-api';
import { CLONE_PARENT } from '../process';
import { syscallNumber } from '../syscall-numbers';
import {
  DataSlot,
  encodeRuns,
  type Instruction,
  type Origin,
  OutputSlot,
  ResultSlot,
  ScratchSlot,
} from './instruction';
import { PIECE_BYTES, pieceTable } from './pieces';
import { showInstruction } from './program-text';
import { DROP, OP, UPDATE_ROOM } from './protocol';
import type { SealedProgram } from './sealed';

export interface ForkChannel {
  readonly doorbell: number;
  /** The memfd of the arenas, and where in it the child's lies. */
  readonly arena: number;
  readonly arenaOffset: number;
  /** struct agent_place: where doorbell and arena are to be in the child. */
  readonly place: Uint8Array;
}

/** A part of memory. */
export type Stretch = Omit<PageRun, 'fileOffset'>;

/** From this size on the engine takes part: it costs a round trip. */
const TOGETHER_BYTES = 2n * PIECE_BYTES;

function lengthOf(runs: readonly PageRun[]): bigint {
  return runs.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0n);
}

/** One for all calls that say nothing: a tree has a hundred thousand. */
const PLAIN: CallOptions = {};

const NOBODY: Origin = {};

const SIGCHLD = 17;

/** Collects the instructions of one program. Knows no task: plans are built and tested with it on any machine. */
export class ProgramBuilder implements Program {
  readonly instructions: Instruction[] = [];
  /** Put on every instruction that follows. */
  origin: Origin = NOBODY;
  #texts: Map<string, DataSlot> | undefined;
  #sealed: SealedProgram | undefined;
  /** Where pages are read to be compared: one place for all instructions. */
  #room: DataSlot | undefined;

  call(name: string, args: readonly Arg[], options: CallOptions = PLAIN): ResultSlot {
    if (args.length > 6) throw new RangeError(`${name}: a system call has at most six arguments`);
    return this.#add(OP.SYSCALL, name, syscallNumber(name), args, options);
  }

  bytes(content: Uint8Array): DataSlot {
    return new DataSlot(content.length, Buffer.from(content));
  }

  /** A text is in a batch once, however many calls name it. */
  cstring(text: string): DataSlot {
    this.#texts ??= new Map();
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    if (text.includes('\0')) throw new RangeError('a C string cannot hold a NUL byte');
    const bytes = encodeName(`${text}\0`);
    const slot = new DataSlot(bytes.length, bytes, text);
    this.#texts.set(text, slot);
    return slot;
  }

  out(sizeBytes: number): OutputSlot {
    return new OutputSlot(sizeBytes);
  }

  store(data: Data, offset: number, value: Arg, sizeBytes: 4 | 8): void {
    if (offset < 0 || offset + sizeBytes > data.sizeBytes) throw new RangeError('a stored word must lie in its data');
    const storeAt = { data: data as DataSlot, offset };
    storeAt.data.isWritten = true;
    this.#add(OP.STORE, 'store', 0, [value, sizeBytes], PLAIN, undefined, storeAt);
  }

  moveFd(from: Arg, to: number, cloexec: boolean, options: CallOptions = PLAIN): void {
    this.#add(OP.MOVE_FD, 'move_fd', 0, [from, to, cloexec ? 1 : 0], options);
  }

  receiveFd(source: number | LateFd, options: CallOptions = PLAIN): ResultSlot {
    return this.#add(OP.RECEIVE_FD, 'receive_fd', 0, [], options, [source]);
  }

  pagesToFile(fd: Arg, runs: readonly PageRun[], options: CallOptions = PLAIN, own?: number): ResultSlot {
    if (own !== undefined && lengthOf(runs) >= TOGETHER_BYTES) return this.#together(fd, runs, own, true, options);
    return this.#pages(OP.PAGES_WRITE, 'pages_to_file', fd, runs, options);
  }

  pagesFromFile(fd: Arg, runs: readonly PageRun[], options: CallOptions = PLAIN): ResultSlot {
    return this.#pages(OP.PAGES_READ, 'pages_from_file', fd, runs, options);
  }

  /**
   * Reads runs of `fd`, cut by cutRuns(), while the engine may take its share of them from `source`, the same file: it is a batch
   * of its own, and Run.transfer is how the engine takes part. The result is what the agent has read. For the engine alone.
   */
  pagesTogether(fd: Arg, runs: readonly PageRun[], source: number, options: CallOptions = {}): ResultSlot {
    return this.#together(fd, runs, source, false, options);
  }

  #together(fd: Arg, runs: readonly PageRun[], file: number, store: boolean, options: CallOptions): ResultSlot {
    const table = pieceTable(file, runs, store);
    const { bounds, encodedRuns } = table;
    const next = new DataSlot(4);
    const pieces = new DataSlot(bounds.byteLength, Buffer.from(bounds.buffer));
    const args = [fd, new DataSlot(encodedRuns.length, encodedRuns), pieces, bounds.length - 1, next, store ? 1 : 0];
    const together = { table, next };
    return this.#add(OP.PAGES_TOGETHER, 'pages_together', 0, args, options, undefined, undefined, together);
  }

  /**
   * Reads runs of `fd` and writes those of their pages that memory does not have yet, so that pages which a child has from
   * its parent stay shared; pages of `dropped` are given back to the kernel. The result is the number of bytes written.
   * For the engine alone.
   */
  updatePages(
    fd: Arg,
    runs: readonly PageRun[],
    dropped: readonly Stretch[],
    options: CallOptions = PLAIN,
  ): ResultSlot {
    const all = [...dropped.map((stretch) => ({ ...stretch, fileOffset: DROP })), ...runs];
    const table = new DataSlot(all.length * 24, encodeRuns(all), undefined);
    this.#room ??= new ScratchSlot(UPDATE_ROOM);
    return this.#add(OP.PAGES_UPDATE, 'update_pages', 0, [fd, table, all.length, this.#room], options);
  }

  /**
   * Forks a child with an agent of its own, under `pid` (0: any); `channel` is its end of what connects it with the
   * engine. With CLONE_PARENT the exit signal is that of the caller (man 2 clone). For the engine alone: plugins do not
   * make tasks.
   */
  fork(
    pid: number,
    flags: bigint,
    channel: ForkChannel,
    { exitSignal = SIGCHLD, ...options }: CallOptions & { readonly exitSignal?: number } = PLAIN,
  ): ResultSlot {
    const how = (flags & CLONE_PARENT) === 0n ? flags | BigInt(exitSignal) : flags;
    const doorbell = this.receiveFd(channel.doorbell);
    const arena = this.receiveFd(channel.arena);
    const place = this.bytes(channel.place);
    return this.#add(OP.FORK, 'fork', 0, [pid, how, doorbell, arena, channel.arenaOffset, place], options);
  }

  /** Makes a thread of the task, with a `struct agent_thread` at `block`. For the engine alone. */
  thread(tid: number, block: bigint, options: CallOptions = PLAIN): ResultSlot {
    return this.#add(OP.THREAD, 'thread', 0, [tid, block], options);
  }

  useTiles(config: Data, options: CallOptions = PLAIN): void {
    this.#add(OP.TILES, 'use_tiles', 0, [config], options);
  }

  /** One line for each instruction, `$n` being the result of instruction n. */
  text(): string[] {
    const numbers = new Map(this.instructions.map((instruction, index) => [instruction.result, index]));
    return this.instructions.map((instruction) => showInstruction(instruction, numbers));
  }

  /** The instructions, when they are encoded for good. */
  get sealed(): SealedProgram | undefined {
    return this.#sealed;
  }

  /** For Sealer: the instructions are in there, and not here any more. */
  adopt(sealed: SealedProgram): void {
    this.#sealed = sealed;
    this.instructions.length = 0;
    this.#texts = undefined;
    this.#room = undefined;
    this.origin = NOBODY;
  }

  #pages(op: number, name: string, fd: Arg, runs: readonly PageRun[], options: CallOptions): ResultSlot {
    const table = new DataSlot(runs.length * 24, encodeRuns(runs), undefined);
    return this.#add(op, name, 0, [fd, table, runs.length], options);
  }

  /** All instructions have one shape, which V8 makes fast. */
  #add(
    op: number,
    name: string,
    nr: number,
    args: readonly Arg[],
    options: CallOptions,
    sendFds?: Instruction['sendFds'],
    storeAt?: Instruction['storeAt'],
    together?: Instruction['together'],
  ): ResultSlot {
    if (this.#sealed !== undefined) throw new Error('a program that is sealed takes no more instructions');
    const result = new ResultSlot();
    this.instructions.push({ op, name, nr, args, options, origin: this.origin, result, sendFds, storeAt, together });
    return result;
  }
}
