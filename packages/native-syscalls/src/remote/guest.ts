/**
 * A task that shares its memory with another one (CLONE_VM) needs no agent: it runs its programs in that of the other, as a
 * thread would, and is itself again after each. Its stack may be too small for a way back of its own.
 */
import type { Program, ThreadState } from '@crts/plugin-api';
import type { Infection } from './infection';
import { ProgramBuilder } from './program-builder';
import type { AskedThread } from './thread-questions';
import type { ThreadRun } from './threads';

/** What the engine asks of an infected task. */
export interface Host {
  readonly task: {
    run(program: ProgramBuilder | ((program: Program) => void)): void;
    /** Waits for the answer when the function that is returned is called. */
    start(program: ProgramBuilder): () => void;
  };
  runThreads(threads: readonly ThreadRun[]): void;
  askThreads(threads: readonly AskedThread[], program: ProgramBuilder, answered: (index: number) => void): void;
  cure(): void;
  close(): void;
}

export class Guest implements Host {
  readonly task: Host['task'];
  readonly #host: Infection;

  /** `pid`: the task's main thread, in a ptrace event stop with the state `state`; it stays there. */
  constructor(pid: number, state: ThreadState, host: Infection) {
    this.#host = host;
    const run = (program: ProgramBuilder) => host.runThreads([{ tid: pid, state, program }]);
    this.task = {
      run: (program) => {
        const builder = typeof program === 'function' ? new ProgramBuilder() : program;
        if (typeof program === 'function') program(builder);
        run(builder);
      },
      // The host's agent can do one thing at a time.
      start: (program) => () => run(program),
    };
  }

  runThreads(threads: readonly ThreadRun[]): void {
    this.#host.runThreads(threads);
  }

  askThreads(threads: readonly AskedThread[], program: ProgramBuilder, answered: (index: number) => void): void {
    this.#host.askThreads(threads, program, answered);
  }

  /** It is itself already. */
  cure(): void {}

  close(): void {}
}
