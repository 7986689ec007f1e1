import type { Program, Result } from '@crts/plugin-api';
import { ProgramBuilder } from './remote/program-builder';
import { type RemoteTask, type Run, runTogether } from './remote/remote-task';

/** Runs a program in a task with a descriptor of the engine, which the task has no longer when it is over, however it ends. */
export function withLent(
  task: { run(build: (program: Program) => void): void },
  fd: number,
  build: (program: Program, lent: Result) => void,
): void {
  let lent: Result | undefined;
  try {
    task.run((program) => {
      lent = program.receiveFd(fd);
      build(program, lent);
      program.call('close', [lent]);
    });
  } catch (error) {
    // The program ended before its last instruction.
    takeBack(task, lent);
    throw error;
  }
}

/** The same in several tasks, side by side. Throws the first error when all have ended. `meanwhile`: see runTogether(). */
export function lendTogether(
  jobs: readonly {
    readonly task: RemoteTask;
    readonly fd: number;
    readonly build: (program: Program, lent: Result) => void;
  }[],
  meanwhile?: (runs: readonly Run[]) => void,
): void {
  const lent = jobs.map(({ task, fd, build }) => {
    const program = new ProgramBuilder();
    const own = program.receiveFd(fd);
    build(program, own);
    program.call('close', [own]);
    return { task, program, own };
  });
  try {
    runTogether(lent, meanwhile);
  } catch (error) {
    // Where it was closed already, that fails.
    for (const { task, own } of lent) takeBack(task, own);
    throw error;
  }
}

function takeBack(task: { run(build: (program: Program) => void): void }, lent: Result | undefined): void {
  try {
    const number = lent!.value;
    if (number >= 0n) task.run((program) => void program.call('close', [number]));
  } catch {
    // It never came, or the task is gone with it.
  }
}
