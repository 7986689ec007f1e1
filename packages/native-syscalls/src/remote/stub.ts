import { CrtsError } from '@crts/plugin-api';
import { agentBlob, stubPath } from '../addon';
import { stubStopped, taskGone } from '../errors';
import { closeFd } from '../files';
import { mapShared, memfd, unmapShared } from '../memory';
import { spawn } from '../process';
import {
  NT_PRSTATUS,
  PTRACE_O_SUSPEND_SECCOMP,
  ptraceContinue,
  ptraceGetRegset,
  ptraceInterrupt,
  ptraceSeize,
  ptraceSetRegset,
} from '../ptrace';
import { limitReceiveTime, sendMessage, seqpacketPair } from '../socket';
import { WNOHANG, waitPid, waitStatus } from '../wait';
import { receiveReply } from './doorbell';
import { type ForkChannel, ProgramBuilder } from './program-builder';
import { BOOT, FORK_BOOT, PLACE, REPLY, ROUND_AT, THREAD_ENTRY } from './protocol';
import { QUIET, withRegs } from './registers';
import { RemoteTask } from './remote-task';
import { stateOf, TRACE_OPTIONS, waitForEventStop } from './stops';
import { type ThreadProgram, ThreadRound } from './threads';

const PAGE = 4096n;
const FUTEX_WAIT = 0;
/** How long the engine waits for an answer before it looks after the task. */
const LOOK_AFTER_US = 50_000n;
/** Looks at a task that somebody has stopped before the restore gives up. */
const STOPPED_LOOKS_MAX = 200;
/** A stub that is alone: the doorbell, and some numbers for who launches it. */
const RESERVED = 4;
/** A restore agent's stack is the end of its arena. */
const STACK_BYTES = 16 * 1024;

export interface StubRequest {
  /** Pid that the task gets, 0 for any. */
  readonly pid: number;
  readonly flags: bigint;
  /** Where agent and arena go: free in the task's final layout. */
  readonly area: Area;
  /** Number of the agent's descriptor: one that the task does not use itself. */
  readonly doorbellNumber: number;
}

interface Area {
  readonly start: bigint;
  readonly end: bigint;
}

/** A task under construction. */
export interface StubTask {
  readonly hostPid: number;
  readonly task: RemoteTask;
  /**
   * Makes threads with these numbers; each runs its program once and waits for completeTask(). Programs of a round run side by
   * side while the task's own thread waits. `failed` makes the error of a thread that could not be made.
   * @throws CrtsError of the first instruction whose expectation was unmet
   */
  createThreads(threads: readonly ThreadProgram[], failed?: (tid: number, errno: string | undefined) => Error): void;
  /**
   * Traces a thread of the task from now on with its seccomp filters suspended (man 2 ptrace, PTRACE_O_SUSPEND_SECCOMP).
   * @throws SyscallError EPERM without CAP_SYS_ADMIN
   */
  suspendSeccomp(tid: number): void;
  /** Runs further programs in threads that createThreads() made and suspendSeccomp() traces. They wait then as before. */
  runThreads(threads: readonly ThreadProgram[]): void;
  /** Threads that are traced already. */
  readonly traced: ReadonlySet<number>;
  /** Lets go of the engine's ends; an agent that still lives exits then. */
  close(): void;
}

/** A child that a task under construction is to fork: `ProgramBuilder.fork()` with this channel. */
export interface UnbornStub {
  readonly channel: ForkChannel;
  /** The fork has been made: waits until the child's agent answers. @throws CrtsError when it died */
  born(hostPid: number): StubTask;
  /** It was not made. */
  close(): void;
}

/** Bytes of address space that the agent and the arenas of `agents` tasks in it need for programs of `programBytes` a batch. */
export function stubAreaSize(programBytes: number, agents = 1): bigint {
  return codeSize() + BigInt(agents) * ((BigInt(programBytes + STACK_BYTES) + PAGE - 1n) & ~(PAGE - 1n));
}

function codeSize(): bigint {
  return (BigInt(agentBlob().length) + PAGE - 1n) & ~(PAGE - 1n);
}

/** What is laid out in the same way in all tasks of a restore. */
export interface YardLayout {
  /** Where agent and arenas go: free in every task. */
  readonly area: Area;
  /** Number of the doorbell of a task that shares its descriptors with no other. */
  readonly doorbellNumber: number;
  /** Numbers from here on are for descriptors on their way. */
  readonly spareNumber: number;
  /** Most tasks that share one address space, and so have arenas in one area. */
  readonly agents: number;
}

/** Where the agent of a task has its things, beside those of others that it shares descriptors or memory with. */
export interface StubPlace {
  readonly doorbellNumber: number;
  /** Rank of its arena in the address space: 0 where it is alone. */
  readonly arena: number;
}

/** The agents of one restore: their arenas lie side by side in one memfd. */
export class StubYard {
  readonly #layout: YardLayout;
  readonly #area: Area;
  readonly #arenaSize: number;
  readonly #memfd: number;
  readonly #arenas: Buffer;
  #used = 0;

  constructor(layout: YardLayout, tasks: number) {
    this.#layout = layout;
    this.#area = layout.area;
    this.#arenaSize = Number(this.#area.end - this.#area.start - codeSize()) / layout.agents;
    this.#memfd = memfd('crts', this.#arenaSize * tasks);
    try {
      this.#arenas = mapShared(this.#memfd, this.#arenaSize * tasks);
    } catch (error) {
      closeFd(this.#memfd);
      throw error;
    }
  }

  /**
   * Makes a process that runs the agent and nothing else: the root of the tree, with the first arena.
   * @throws SyscallError of clone3 (EEXIST: the pid is in use), CrtsError when the stub died
   */
  launch(pid: number, flags: bigint): StubTask {
    const arena = this.#take();
    const [own, theirs] = seqpacketPair();
    const { doorbellNumber } = this.#layout;
    let hostPid: number;
    try {
      const path = stubPath();
      hostPid = spawn({ path, doorbell: theirs, doorbellNumber, pid, flags });
    } catch (error) {
      closeFd(own);
      throw error;
    } finally {
      closeFd(theirs);
    }
    if (!sendMessage(own, this.#boot(-1n, 0), [this.#memfd])) return this.#died(own, hostPid);
    return this.#answered(own, hostPid, arena, 0);
  }

  /** A place for a child of one of the tasks. */
  unborn(where: StubPlace = { doorbellNumber: this.#layout.doorbellNumber, arena: 0 }): UnbornStub {
    const arena = this.#take();
    const [own, theirs] = seqpacketPair();
    const number = BigInt(where.doorbellNumber);
    this.#boot(number, where.arena).copy(arena, arena.length - FORK_BOOT);
    const place = Buffer.alloc(PLACE.size);
    place.writeBigUInt64LE(number, PLACE.socket);
    place.writeBigUInt64LE(this.#arenaAddress(where.arena), PLACE.arena);
    return {
      channel: {
        doorbell: theirs,
        arena: this.#memfd,
        arenaOffset: arena.byteOffset - this.#arenas.byteOffset,
        place,
      },
      born: (hostPid) => {
        closeFd(theirs);
        return this.#answered(own, hostPid, arena, where.arena);
      },
      close: () => {
        closeFd(theirs);
        closeFd(own);
      },
    };
  }

  /** Lets go of the arenas; the tasks keep theirs. */
  close(): void {
    closeFd(this.#memfd);
    unmapShared(this.#arenas);
  }

  #take(): Buffer {
    const start = this.#used++ * this.#arenaSize;
    if (start + this.#arenaSize > this.#arenas.length) throw new RangeError('more tasks than arenas');
    return this.#arenas.subarray(start, start + this.#arenaSize);
  }

  #arenaAddress(rank: number): bigint {
    return this.#area.start + codeSize() + BigInt(rank * this.#arenaSize);
  }

  #boot(socket: bigint, rank: number): Buffer {
    const boot = Buffer.alloc(BOOT.size);
    boot.writeBigUInt64LE(this.#area.start, BOOT.area);
    boot.writeBigUInt64LE(this.#area.end - this.#area.start, BOOT.areaSize);
    boot.writeBigUInt64LE(this.#arenaAddress(rank), BOOT.arena);
    boot.writeBigUInt64LE(BigInt(this.#arenaSize), BOOT.arenaSize);
    boot.writeBigUInt64LE(BigInt(this.#layout.spareNumber), BOOT.spareFds);
    boot.writeBigInt64LE(socket, BOOT.socket);
    return boot;
  }

  #answered(own: number, hostPid: number, arena: Buffer, rank: number): StubTask {
    const lookAfter = watch(hostPid);
    limitReceiveTime(own, LOOK_AFTER_US);
    try {
      if (receiveReply(own, lookAfter)?.kind !== REPLY.READY) return this.#died(own, hostPid);
    } catch (error) {
      closeFd(own);
      throw error;
    }
    const task = new RemoteTask(hostPid, own, arena, arena.length - STACK_BYTES, lookAfter);
    const base = this.#arenaAddress(rank);
    const traced = new Set<number>();
    return {
      hostPid,
      task,
      traced,
      createThreads: (threads, failed) => createThreads(task, arena, base, threads, failed),
      suspendSeccomp: (tid) => {
        ptraceSeize(tid, TRACE_OPTIONS | PTRACE_O_SUSPEND_SECCOMP);
        traced.add(tid);
      },
      runThreads: (threads) => runThreads(hostPid, this.#area.start + THREAD_ENTRY, arena, base, threads),
      close: () => closeFd(own),
    };
  }

  #died(own: number, hostPid: number): never {
    closeFd(own);
    throw stubDied(hostPid);
  }
}

/** A single task with an arena of its own. */
export function launchStub({ pid, flags, area, doorbellNumber }: StubRequest): StubTask {
  const yard = new StubYard({ area, doorbellNumber, spareNumber: doorbellNumber + RESERVED, agents: 1 }, 1);
  try {
    const stub = yard.launch(pid, flags);
    return {
      ...stub,
      close: () => {
        stub.close();
        yard.close();
      },
    };
  } catch (error) {
    yard.close();
    throw error;
  }
}

/** Exit codes of native/stub/stub.c. */
const STUB_EXITS: Record<number, string> = {
  101: 'was started without the number of its doorbell',
  102: 'got no boot message',
  103: 'could not map the agent: its address range is taken',
  104: 'could not make the agent executable',
  105: 'could not map the arena',
  106: 'could not map its own arena after the fork',
};

/**
 * What to do each time that an answer is late. The end of the doorbell tells of a death, but not where others have the same
 * table of descriptors; and who is stopped from outside says nothing at all.
 */
function watch(pid: number): () => void {
  let stopped = 0;
  return () => {
    const state = stateOf(pid);
    if (state === undefined || state === 'Z' || state === 'X') throw taskGone(pid, 'a program of the agent');
    stopped = state === 'T' ? stopped + 1 : 0;
    if (stopped === STOPPED_LOOKS_MAX) throw stubStopped(pid, (STOPPED_LOOKS_MAX * Number(LOOK_AFTER_US)) / 1_000_000);
  };
}

function stubDied(pid: number): CrtsError {
  let status: number;
  try {
    status = waitPid(pid)?.status ?? 0;
  } catch {
    // A sibling (CLONE_PARENT) is its parent's to wait for: how it died is not ours to know.
    return new CrtsError({ code: 'CRTS_STUB_DIED', what: 'the first program of the restored task died', pid });
  }
  const how = waitStatus.exited(status)
    ? (STUB_EXITS[waitStatus.exitCode(status)] ?? `exited with code ${waitStatus.exitCode(status)}`)
    : `was killed by signal ${waitStatus.termSignal(status)}`;
  return new CrtsError({ code: 'CRTS_STUB_DIED', what: `the first program of the restored task ${how}`, pid });
}

/** The part of the arena where the task's own thread runs the program that makes the threads of a round. */
const MAKER_BYTES = 32 * 1024;
/** 88 bytes each, in MAKER_BYTES. */
const ROUND_THREADS = 256;

function createThreads(
  task: RemoteTask,
  arena: Buffer,
  base: bigint,
  threads: readonly ThreadProgram[],
  failed?: (tid: number, errno: string | undefined) => Error,
): void {
  const place = { from: MAKER_BYTES + ROUND_AT, to: arena.length - STACK_BYTES, roundAt: MAKER_BYTES };
  for (let waiting = threads.map((run) => ({ run, start: 0 })); waiting.length > 0; ) {
    const round = new ThreadRound<ThreadProgram>(arena, base, place);
    waiting = round.fill(waiting, ROUND_THREADS);
    const maker = new ProgramBuilder();
    maker.origin = { plugin: 'engine', stage: 'sigchld' };
    for (const { run, address } of round.blocks)
      maker.thread(run.tid, address, {
        what: `make thread ${run.tid}`,
        ...(failed === undefined ? {} : { fail: (errno: string | undefined) => failed(run.tid, errno) }),
      });
    awaitRound(maker, round);
    task.run(maker, MAKER_BYTES);
    // A stop of the whole task may have ended the wait before.
    while (!round.finished) task.run((program) => awaitRound(program as ProgramBuilder, round), MAKER_BYTES);
    const left = round.settle();
    if (left.length > 0) throw new RangeError(`the program of thread ${left[0]!.run.tid} does not fit the arena`);
  }
}

/** The threads wait in the agent; each is sent to the beginning of a new block. */
function runThreads(pid: number, entry: bigint, arena: Buffer, base: bigint, threads: readonly ThreadProgram[]): void {
  const place = { from: MAKER_BYTES + ROUND_AT, to: arena.length - STACK_BYTES, roundAt: MAKER_BYTES };
  for (let waiting = threads.map((run) => ({ run, start: 0 })); waiting.length > 0; ) {
    const round = new ThreadRound<ThreadProgram>(arena, base, place);
    const later = round.fill(waiting, ROUND_THREADS);
    for (const { run } of round.blocks) {
      ptraceInterrupt(run.tid);
      waitForEventStop(run.tid, waitPid(run.tid)!.status);
    }
    for (const { run, address } of round.blocks) {
      const regs = withRegs(ptraceGetRegset(run.tid, NT_PRSTATUS), {
        ...QUIET,
        rip: entry,
        rdi: address,
        orig_rax: -1n,
      });
      ptraceSetRegset(run.tid, NT_PRSTATUS, regs);
      ptraceContinue(run.tid);
    }
    round.wait(() => {
      for (const { run } of round.blocks)
        if (waitPid(run.tid, WNOHANG) !== undefined) throw taskGone(pid, 'the programs of its threads');
    });
    waiting = [...round.settle(), ...later];
  }
}

/** EAGAIN: they had ended before. */
function awaitRound(program: ProgramBuilder, round: ThreadRound<ThreadProgram>): void {
  program.call('futex', [round.finishedAddress, FUTEX_WAIT, 0, null], { expect: 'any' });
}
