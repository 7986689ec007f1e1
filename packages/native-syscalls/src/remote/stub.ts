/** The first program of a restored task, and the last step that lets it go. */
import { readFileSync } from 'node:fs';
import type { ThreadState } from '@crts/plugin-api';
import { CrtsError } from '@crts/plugin-api';
import { agentBlob, stubPath } from '../addon';
import { agentSilent, taskGone } from '../errors';
import { closeFd } from '../files';
import { mapShared, memfd, unmapShared } from '../memory';
import { spawn } from '../process';
import {
  NT_PRSTATUS,
  NT_X86_XSTATE,
  PTRACE_O_EXITKILL,
  PTRACE_O_SUSPEND_SECCOMP,
  PTRACE_O_TRACESYSGOOD,
  ptraceContinue,
  ptraceDetach,
  ptraceGetRegset,
  ptraceInterrupt,
  ptraceSeize,
  ptraceSetRegset,
  ptraceSetSigmask,
  ptraceSetSyscallDispatch,
  ptraceToSyscall,
} from '../ptrace';
import { receiveMessage, sendMessage, seqpacketPair } from '../socket';
import { rawSyscall, syscall } from '../syscall';
import { WNOHANG, waitPid, waitStatus } from '../wait';
import { type ForkChannel, ProgramBuilder } from './program-builder';
import { BOOT, FORK_BOOT, REPLY, REPLY_SIZE, ROUND_AT, THREAD_ENTRY } from './protocol';
import { getReg, QUIET, withRegs } from './registers';
import { RemoteTask } from './remote-task';
import { expectSyscallStop, stepToCall, waitForEventStop } from './stops';
import { type ThreadProgram, ThreadRound } from './threads';

const PAGE = 4096n;
const SYS_MUNMAP = 11n;
const FUTEX_WAIT = 0;
const TRACE_OPTIONS = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
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

/** Bytes of address space that agent and arena need for programs of `programBytes` a batch. */
export function stubAreaSize(programBytes: number): bigint {
  return codeSize() + ((BigInt(programBytes + STACK_BYTES) + PAGE - 1n) & ~(PAGE - 1n));
}

function codeSize(): bigint {
  return (BigInt(agentBlob().length) + PAGE - 1n) & ~(PAGE - 1n);
}

/** The agents of one restore: their arenas lie side by side in one memfd, in all tasks at the same address. */
export class StubYard {
  readonly #area: Area;
  readonly #arenaSize: number;
  readonly #doorbellNumber: number;
  readonly #memfd: number;
  readonly #arenas: Buffer;
  #used = 0;

  constructor(area: Area, doorbellNumber: number, tasks: number) {
    this.#area = area;
    this.#arenaSize = Number(area.end - area.start - codeSize());
    this.#doorbellNumber = doorbellNumber;
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
    let hostPid: number;
    try {
      const path = stubPath();
      hostPid = spawn({ path, doorbell: theirs, doorbellNumber: this.#doorbellNumber, pid, flags });
    } catch (error) {
      closeFd(own);
      throw error;
    } finally {
      closeFd(theirs);
    }
    if (!sendMessage(own, this.#boot(-1n), [this.#memfd])) return this.#died(own, hostPid);
    return this.#answered(own, hostPid, arena);
  }

  /** A place for a child of one of the tasks. */
  unborn(): UnbornStub {
    const arena = this.#take();
    const [own, theirs] = seqpacketPair();
    this.#boot(BigInt(this.#doorbellNumber)).copy(arena, arena.length - FORK_BOOT);
    return {
      channel: { doorbell: theirs, arena: this.#memfd, arenaOffset: arena.byteOffset - this.#arenas.byteOffset },
      born: (hostPid) => {
        closeFd(theirs);
        return this.#answered(own, hostPid, arena);
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

  #boot(socket: bigint): Buffer {
    const boot = Buffer.alloc(BOOT.size);
    boot.writeBigUInt64LE(this.#area.start, BOOT.area);
    boot.writeBigUInt64LE(codeSize(), BOOT.codeSize);
    boot.writeBigUInt64LE(this.#area.end - this.#area.start, BOOT.areaSize);
    boot.writeBigInt64LE(socket, BOOT.socket);
    return boot;
  }

  #answered(own: number, hostPid: number, arena: Buffer): StubTask {
    const reply = Buffer.alloc(REPLY_SIZE);
    if (receiveMessage(own, reply) !== REPLY_SIZE || reply.readBigUInt64LE(0) !== BigInt(REPLY.READY))
      return this.#died(own, hostPid);
    const task = new RemoteTask(hostPid, own, arena, arena.length - STACK_BYTES);
    const base = this.#area.start + codeSize();
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
  const yard = new StubYard(area, doorbellNumber, 1);
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

/** A thread of a restored task, as it is to be. */
export interface FinalThread {
  readonly hostTid: number;
  readonly state: ThreadState;
}

/**
 * The last step but one: the agent leaves its doorbell, unmaps itself and its arena with a `syscall` instruction of the task
 * (its vdso's), and at that call's exit each thread gets its own registers, extended state and mask. All are stopped then;
 * letTaskRun() lets them go.
 *
 * An engine that dies meanwhile takes the unfinished task with it (PTRACE_O_EXITKILL).
 */
export function completeTask(
  stub: StubTask,
  syscallAt: bigint,
  main: ThreadState,
  threads: readonly FinalThread[],
): void {
  const pid = stub.hostPid;
  const all = [...threads.map(({ hostTid }) => hostTid), pid];
  for (const tid of all) if (!stub.traced.has(tid)) ptraceSeize(tid, TRACE_OPTIONS);
  for (const tid of all) ptraceInterrupt(tid);
  for (const tid of all) waitForEventStop(tid, waitPid(tid)!.status);
  stub.task.sendLeave(syscallAt, 0n);
  stepToCall(pid, (regs) => getReg(regs, 'orig_rax') === SYS_MUNMAP);
  expectSyscallStop(pid, ptraceToSyscall(pid));
  if (getReg(ptraceGetRegset(pid, NT_PRSTATUS), 'rax') !== 0n) throw agentSilent(pid, 'could not be unmapped');
  for (const { hostTid, state } of [...threads, { hostTid: pid, state: main }]) {
    ptraceSetRegset(hostTid, NT_X86_XSTATE, state.xstate);
    ptraceSetRegset(hostTid, NT_PRSTATUS, state.prstatus);
    ptraceSetSigmask(hostTid, state.sigmask);
    if (state.syscallDispatch !== undefined) ptraceSetSyscallDispatch(hostTid, state.syscallDispatch);
  }
}

/** Lets a completed task run. */
export function letTaskRun(hostPid: number, threads: readonly FinalThread[]): void {
  for (const { hostTid } of threads) ptraceDetach(hostTid);
  ptraceDetach(hostPid);
}

const SIGSTOP = 19;
/** A stop takes some microseconds; a task that was killed meanwhile never gets there. */
const STOP_LOOKS = 100_000;

/**
 * Lets a completed task go, stopped by a signal before it has run. The main thread goes first: once it is stopped, the kernel has
 * told all threads to stop, and those still traced do so when they are let go (__ptrace_unlink(), kernel/ptrace.c).
 */
export function stopTask(hostPid: number, threads: readonly FinalThread[], signal = SIGSTOP): void {
  syscall('kill', hostPid, signal);
  ptraceDetach(hostPid);
  let looks = 0;
  for (let state = stateOf(hostPid); state !== 'T'; state = stateOf(hostPid)) {
    if (++looks > STOP_LOOKS || state === 'Z' || state === undefined) throw taskGone(hostPid, 'its stop');
    rawSyscall('sched_yield');
  }
  for (const { hostTid } of threads) ptraceDetach(hostTid);
}

/** Of the main thread: man 5 proc_pid_stat. */
function stateOf(pid: number): string | undefined {
  try {
    return /^\d+ \(.*\) (\w)/s.exec(readFileSync(`/proc/${pid}/task/${pid}/stat`, 'latin1'))?.[1];
  } catch {
    return undefined;
  }
}
