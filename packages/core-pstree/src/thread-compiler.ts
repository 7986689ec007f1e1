/** Programs of further threads. Threads are mostly like the one before: only what differs is compiled then. */
import { type Change, type Model, ProgramBuilder } from '@crts/native-syscalls';
import { type PassHead, type Program, STAGES, type ThreadState } from '@crts/plugin-api';
import { isSame, type PassOrder } from './pass-order';
import type { CompiledThread } from './plan';

export interface ThreadPass {
  readonly head: PassHead;
  readonly emit: (program: Program) => void;
}

/** What is to be compiled for a thread. */
export interface PlannedThread {
  readonly tid: number;
  readonly passes: readonly ThreadPass[];
  readonly suspendSeccomp: boolean;
  readonly state: ThreadState;
}

/** Encodes the programs of threads; the numbers say which one, of the threads in the order of their compilation. */
export interface ThreadSealer {
  seal(
    program: ProgramBuilder,
    index: number,
    which: 'program' | 'unfiltered',
    starts: readonly number[],
  ): Model | undefined;
  sealLike(model: Model, changes: readonly Change[], index: number): ProgramBuilder | undefined;
}

/** The last thread whose program others may be like. */
interface Last {
  readonly model: Model;
  readonly passes: readonly ThreadPass[];
  /** Which part of the program each pass has made. */
  readonly parts: readonly number[];
}

/** What a task's own passes have provided when its threads are made. */
const OF_THE_PROCESS = ['vmas', 'mm', 'fs', 'fds', 'sigactions'];
const NOTHING: readonly string[] = [];

/** Of the threads of one task, one after the other. */
export class ThreadCompiler {
  readonly #order: PassOrder;
  readonly #sealer: ThreadSealer | undefined;
  #last: Last | undefined;
  #count = 0;

  constructor(order: PassOrder, sealer?: ThreadSealer) {
    this.#order = order;
    this.#sealer = sealer;
  }

  compile(thread: PlannedThread): CompiledThread {
    const index = this.#count++;
    const alike = this.#compileAlike(thread, index);
    return alike === undefined ? this.#compileWhole(thread, index) : { ...alike, state: thread.state };
  }

  /** A pass of the last thread that comes again, by the same emitter, has made what it would make. */
  #compileAlike({ tid, passes, suspendSeccomp }: PlannedThread, index: number) {
    const last = this.#last;
    if (last === undefined || suspendSeccomp || passes.length !== last.passes.length) return undefined;
    const changes: Change[] = [];
    for (let at = 0; at < passes.length; at++) {
      const { head, emit } = passes[at]!;
      const old = last.passes[at]!;
      if (!isOrderedAlike(head, old.head)) return undefined;
      if (emit === old.emit) continue;
      const part = new ProgramBuilder();
      part.origin = head;
      emit(part);
      changes.push({ part: last.parts[at]!, instructions: part.instructions });
    }
    const program = this.#sealer!.sealLike(last.model, changes, index);
    return program === undefined ? undefined : { tid, program };
  }

  #compileWhole({ tid, passes, suspendSeccomp, state }: PlannedThread, index: number): CompiledThread {
    const program = new ProgramBuilder();
    const unfiltered = suspendSeccomp ? new ProgramBuilder() : undefined;
    const ordered = this.#order.of(passes, OF_THE_PROCESS);
    const starts: number[] = [];
    for (const { head, emit } of ordered) {
      const isLate = STAGES.indexOf(head.stage) >= STAGES.indexOf('credentials');
      const into = (isLate ? unfiltered : undefined) ?? program;
      starts.push(into.instructions.length);
      into.origin = head;
      emit(into);
    }
    const model = this.#sealer?.seal(program, index, 'program', unfiltered === undefined ? starts : []);
    if (unfiltered !== undefined) this.#sealer?.seal(unfiltered, index, 'unfiltered', []);
    else if (model !== undefined) this.#last = { model, passes, parts: passes.map((pass) => ordered.indexOf(pass)) };
    return { tid, program, unfiltered, state };
  }
}

function isOrderedAlike(a: PassHead, b: PassHead): boolean {
  if (a === b) return true;
  return (
    a.stage === b.stage &&
    isSame(a.needs ?? NOTHING, b.needs ?? NOTHING) &&
    isSame(a.provides ?? NOTHING, b.provides ?? NOTHING)
  );
}
