/**
 * Threads of a frozen task in the agent, and back.
 *
 * An engine that dies at any point leaves each thread in one of these states: it was not touched yet; it enters or is in
 * the agent, and goes back by itself as its block says; it is itself again. The mask is set after the registers on the way in
 * and before them on the way out, so that the state between the two is the second: a thread with its own mask in the agent,
 * which blocks signals itself and has its own stack pointer meanwhile (agent_thread_entry in entry.S).
 */
import { NT_PRSTATUS, ptraceContinue, ptraceInterrupt, ptraceSetRegset, ptraceSetSigmask } from '../ptrace';
import { waitPid } from '../wait';
import { ROUND, ROUND_AT, THREAD_ENTRY } from './protocol';
import { QUIET, withRegs } from './registers';
import { goOnFromStop, waitForEventStop } from './stops';
import { ALL_SIGNALS, ThreadRound, type ThreadRun } from './threads';

/** The agent in the task: code and arena, and the engine's mapping of the arena. */
export interface AgentPlace {
  readonly pid: number;
  readonly area: bigint;
  readonly areaSize: bigint;
  readonly arena: Buffer;
}

/** Infection.runThreads(). */
export function visitThreads({ pid, area, areaSize, arena }: AgentPlace, threads: readonly ThreadRun[]): void {
  const base = area + areaSize - BigInt(arena.length);
  const roundAt = arena.length - ROUND_AT;
  let waiting = threads.map((run) => ({ run, start: 0 }));
  while (waiting.length > 0) {
    const round = new ThreadRound(arena, base, { from: 0, to: roundAt, roundAt });
    const later = round.fill(waiting);
    arena.writeUInt32LE(1, roundAt + ROUND.inside);
    for (const { run, address } of round.blocks) sendIn(run, area + THREAD_ENTRY, address);
    round.wait(() => {
      for (const { run } of round.blocks) goOnFromStop(pid, run.tid, 'the programs of its threads');
    });
    for (const { run } of round.blocks) ptraceInterrupt(run.tid);
    for (const { run } of round.blocks) takeBack(run);
    arena.writeUInt32LE(0, roundAt + ROUND.inside);
    waiting = [...round.settle(), ...later];
  }
}

function sendIn({ tid, state }: ThreadRun, entry: bigint, block: bigint): void {
  ptraceSetRegset(tid, NT_PRSTATUS, withRegs(state.prstatus, { ...QUIET, rip: entry, rdi: block, orig_rax: -1n }));
  ptraceSetSigmask(tid, ALL_SIGNALS);
  ptraceContinue(tid);
}

/** The thread waits in the agent: it is itself again in the stop that it was asked for. */
function takeBack({ tid, state }: ThreadRun): void {
  waitForEventStop(tid, waitPid(tid)!.status);
  ptraceSetSigmask(tid, state.sigmask);
  ptraceSetRegset(tid, NT_PRSTATUS, state.prstatus);
}
