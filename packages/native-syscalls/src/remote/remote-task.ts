import type { LateFd, PageRun } from '@crts/plugin-api';
import { agentSilent, taskGone } from '../errors';
import { receiveReply, sendRequest } from './doorbell';
import { type Batch, encodeBatch, settleBatch } from './encoder';
import type { Instruction } from './instruction';
import { SharedTransfer } from './pieces';
import { ProgramBuilder } from './program-builder';
import { REQUEST } from './protocol';
import type { SealedBatch, SealedProgram } from './sealed';
import { unmet } from './unmet';

/** A program on its way through a task, batch by batch. */
export interface Run {
  /** Sends the next batch; false when there is none. */
  send(): boolean;
  /** Waits for the batch that was sent. @throws CrtsError of the first instruction whose expectation was unmet */
  receive(): void;
  /** Readable when the answer is there. */
  readonly doorbell: number;
  /** Of the batch that was sent: what the engine may take part in until it receives. */
  readonly transfer: SharedTransfer | undefined;
}

/**
 * Runs programs of different tasks side by side. Throws the first error when all batches under way have ended. `meanwhile` is
 * called when batches are under way.
 */
export function runTogether(
  jobs: readonly { readonly task: RemoteTask; readonly program: ProgramBuilder }[],
  meanwhile?: (runs: readonly Run[]) => void,
): void {
  let runs = jobs.map(({ task, program }) => task.begin(program));
  let error: unknown;
  const guarded = (action: () => void): void => {
    try {
      action();
    } catch (cause) {
      error ??= cause;
    }
  };
  while (runs.length > 0 && error === undefined) {
    const sent: Run[] = [];
    for (const run of runs)
      guarded(() => {
        if (run.send()) sent.push(run);
      });
    if (meanwhile !== undefined && sent.length > 0) guarded(() => meanwhile(sent));
    for (const run of sent) guarded(() => run.receive());
    runs = sent;
  }
  if (error !== undefined) throw error;
}

/** A task with an agent inside: runs programs. Owns the doorbell and the arena's mapping. */
export class RemoteTask {
  readonly pid: number;
  readonly #doorbell: number;
  readonly #arena: Buffer;
  readonly #limit: number;
  readonly #lookAfter: (() => void) | undefined;

  /**
   * `limit`: how many bytes of the arena programs may use; a restore agent has its stack behind them. `lookAfter` is called when
   * a program takes long and the doorbell's time is limited.
   */
  constructor(pid: number, doorbell: number, arena: Buffer, limit: number, lookAfter?: () => void) {
    this.pid = pid;
    this.#doorbell = doorbell;
    this.#arena = arena;
    this.#limit = limit;
    this.#lookAfter = lookAfter;
  }

  /**
   * Runs a program, in as many batches as the arena, or its first `limit` bytes, needs.
   * @throws CrtsError of the first instruction whose expectation was unmet; those before it took effect
   */
  run(program: ProgramBuilder | ((program: ProgramBuilder) => void), limit = this.#limit): void {
    const builder = typeof program === 'function' ? new ProgramBuilder() : program;
    if (typeof program === 'function') program(builder);
    const run = this.begin(builder, limit);
    while (run.send()) run.receive();
  }

  /** The same without waiting for the answer: who calls the function that is returned does, once. */
  start(program: ProgramBuilder): () => void {
    const run = this.begin(program);
    run.send();
    return () => {
      do run.receive();
      while (run.send());
    };
  }

  /** The same in steps, so that several tasks run their programs side by side: runTogether(). */
  begin({ sealed, instructions }: ProgramBuilder, limit = this.#limit): Run {
    if (sealed !== undefined) return this.#beginSealed(sealed, limit);
    let start = 0;
    let batch: Batch;
    let transfer: SharedTransfer | undefined;
    return {
      doorbell: this.#doorbell,
      get transfer() {
        return transfer;
      },
      send: () => {
        if (start === instructions.length) return false;
        batch = encodeBatch(instructions, start, this.#arena, limit);
        transfer = this.#transfer(instructions[start + batch.count - 1]!);
        this.#ring(batch.count, batch.fds);
        return true;
      },
      receive: () => {
        const done = this.#answer(batch.count);
        settleBatch(instructions, start, batch, this.#arena, done);
        if (done < batch.count) throw unmet(instructions[start + done]!, this.pid);
        start += batch.count;
        const leftOver = transfer?.leftOver ?? [];
        if (leftOver.length > 0) this.run(leftOverProgram(instructions[start - 1]!, leftOver), limit);
      },
    };
  }

  #beginSealed(program: SealedProgram, limit: number): Run {
    let next = 0;
    let batch: SealedBatch;
    return {
      doorbell: this.#doorbell,
      transfer: undefined,
      send: () => {
        if (next === program.batches.length) return false;
        batch = program.batches[next]!;
        if (batch.usedBytes > limit)
          throw new RangeError(`a program was sealed for an arena larger than ${limit} bytes`);
        batch.load(this.#arena);
        this.#ring(batch.count, batch.fds);
        return true;
      },
      receive: () => {
        const done = this.#answer(batch.count);
        batch.settle(this.#arena, done);
        if (done < batch.count) throw program.unmet(batch, done, this.pid);
        next += 1;
      },
    };
  }

  /** Tells the agent to let go of the doorbell and to go on at `ip` with stack `stack`. */
  sendLeave(ip: bigint, stack: bigint): void {
    if (!sendRequest(this.#doorbell, REQUEST.LEAVE, ip, stack)) throw taskGone(this.pid, 'its release');
  }

  #transfer({ together }: Instruction): SharedTransfer | undefined {
    if (together === undefined) return undefined;
    const { at, sizeBytes } = together.next;
    return new SharedTransfer(this.pid, together.table, this.#arena.subarray(at, at + sizeBytes));
  }

  #ring(count: number, fds: readonly (number | LateFd)[]): void {
    const taken = fds.map((fd) => (typeof fd === 'number' ? fd : fd.take()));
    if (!sendRequest(this.#doorbell, REQUEST.RUN, BigInt(count), 0n, taken)) {
      throw taskGone(this.pid, 'a program of the agent');
    }
    for (const fd of fds) if (typeof fd !== 'number') fd.sent();
  }

  /** Number of instructions that met their expectation. */
  #answer(count: number): number {
    const reply = receiveReply(this.#doorbell, this.#lookAfter);
    if (reply === undefined) throw taskGone(this.pid, 'a program of the agent');
    const { done } = reply;
    if (done > count) throw agentSilent(this.pid, `claims ${done} of ${count} instructions`);
    return done;
  }
}

/** The agent does what the engine could not, and says why where it can't either. */
function leftOverProgram({ args, options, origin, together }: Instruction, runs: readonly PageRun[]): ProgramBuilder {
  const program = new ProgramBuilder();
  program.origin = origin;
  if (together!.table.store) program.pagesToFile(args[0]!, runs, options);
  else program.pagesFromFile(args[0]!, runs, options);
  return program;
}
