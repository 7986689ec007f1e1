/**
 * The agent inside a frozen task, and the way in and out.
 *
 * From the moment the thread's registers are changed, its stack holds a chain of two signal frames that is entered by
 * any `ret` and ends with the thread as it was: frame A unmaps the agent, frame B has the thread's own registers,
 * extended state and signal mask. An engine that dies between any two calls leaves a thread that runs into the chain.
 */
import type { ThreadState, VmaFacts } from '@crts/plugin-api';
import { agentBlob } from '../addon';
import { agentSilent, infectFailed, noAddressSpace } from '../errors';
import { closeFd, preadFull, pwriteFull } from '../files';
import { mapShared, unmapShared } from '../memory';
import { pidfdGetfd } from '../process';
import {
  NT_PRSTATUS,
  NT_X86_XSTATE,
  ptraceContinue,
  ptraceContinueToStop,
  ptraceGetRegset,
  ptraceInterrupt,
  ptraceSetRegset,
  ptraceSetSigmask,
} from '../ptrace';
import { limitReceiveTime } from '../socket';
import { syscall } from '../syscall';
import { waitPid } from '../wait';
import { wholeXstate, xstateEnds } from '../xstate';
import { findFreeArea } from './area';
import { findSyscall, type Gadgets } from './gadgets';
import type { ProgramBuilder } from './program-builder';
import { BOOT, GADGET_OFFSET, MARK_FAILED, MARK_READY, RESTORER_OFFSET, ROUND_AT } from './protocol';
import { getReg, QUIET, withRegs } from './registers';
import { RemoteTask } from './remote-task';
import { findScratch } from './scratch';
import { encodeFpstate, encodeFrame, encodeOwnFrame, FRAME_SIZE, ZERO_REGISTERS } from './sigframe';
import { goOnFromStop, stepToCall, syscallStops, waitForEventStop } from './stops';
import { type AskedThread, questionThreads } from './thread-questions';
import { type AgentPlace, visitThreads } from './thread-visit';
import type { ThreadRun } from './threads';

const SYS_MMAP = 9n;
const SYS_MUNMAP = 11n;
const SYS_RT_SIGRETURN = 15;
const SYS_GETPID = 39;
const PROT_READ_EXEC = 5n;
const MAP_PRIVATE_ANON_FIXED_NOREPLACE = 0x100022n;
const ALL_SIGNALS = (1n << 64n) - 1n;
/** How long the engine waits for an answer before it looks after the task. */
const LOOK_AFTER_US = 50_000n;
const PAGE = 4096n;
/** Stack of the agent: its state is 1.2 KiB. */
const AGENT_STACK = 4096n;

/** Bytes for programs. A table of 10,000 page runs takes 240 kB; larger programs run in several batches. */
export const ARENA_SIZE = 1024 * 1024;

export interface InfectionRequest {
  readonly pid: number;
  readonly pidfd: number;
  /** /proc/PID/mem, writable, and /proc/PID/pagemap. */
  readonly mem: number;
  readonly pagemap: number;
  readonly thread: ThreadState;
  readonly vmas: readonly VmaFacts[];
  readonly gadgets: Gadgets;
}

interface Chain {
  readonly frameA: bigint;
  readonly frameB: bigint;
  readonly boot: bigint;
  readonly restorer: bigint;
  readonly syscallRet: bigint;
}

/** What start() does before it touches the task, for nothing but to have done it once. */
export function rehearseInfection(request: InfectionRequest): void {
  const codeSize = BigInt(agentBlob().length);
  const area = findFreeArea(request.vmas, codeSize + BigInt(ARENA_SIZE))!;
  planChain(request, area, codeSize + BigInt(ARENA_SIZE), codeSize);
}

export class Infection {
  readonly task: RemoteTask;
  readonly #request: InfectionRequest;
  readonly #area: bigint;
  readonly #areaSize: bigint;
  readonly #chain: Chain;
  readonly #doorbell: number;
  readonly #arena: Buffer;

  private constructor(
    request: InfectionRequest,
    area: bigint,
    areaSize: bigint,
    chain: Chain,
    doorbell: number,
    arena: Buffer,
  ) {
    this.#request = request;
    this.#area = area;
    this.#areaSize = areaSize;
    this.#chain = chain;
    this.#doorbell = doorbell;
    this.#arena = arena;
    const { pid } = request;
    this.task = new RemoteTask(pid, doorbell, arena, arena.length - ROUND_AT, () =>
      goOnFromStop(pid, pid, 'a program of the agent'),
    );
  }

  /**
   * Puts the agent into a thread that is in a ptrace stop, seized with PTRACE_O_TRACESYSGOOD.
   * @throws CrtsError with the thread in a ptrace stop and its registers and mask as they were
   */
  static start(request: InfectionRequest): Infection {
    const blob = agentBlob();
    const codeSize = (BigInt(blob.length) + PAGE - 1n) & ~(PAGE - 1n);
    const areaSize = codeSize + BigInt(ARENA_SIZE);
    const area = findFreeArea(request.vmas, areaSize);
    if (area === undefined) throw noAddressSpace(request.pid, areaSize);
    const { chain, bytes } = planChain(request, area, areaSize, codeSize);
    pwriteFull(request.mem, bytes, chain.boot);
    try {
      mapCode(request, area, codeSize, chain);
      pwriteFull(request.mem, blob, area);
      return Infection.#connect(request, area, areaSize, chain);
    } catch (error) {
      putBack(request);
      throw error;
    }
  }

  static #connect(request: InfectionRequest, area: bigint, areaSize: bigint, chain: Chain): Infection {
    const { pid, pidfd, thread } = request;
    const stack = chain.boot & ~15n;
    setRegs(pid, withRegs(thread.prstatus, { ...QUIET, rip: area, rdi: chain.boot, rsp: stack, orig_rax: -1n }));
    const mark = stepToCall(pid, SYS_GETPID, (regs) => isMark(getReg(regs, 'rdi')));
    const first = Number(BigInt.asIntN(64, getReg(mark, 'rsi')));
    const second = Number(BigInt.asIntN(64, getReg(mark, 'rdx')));
    if (getReg(mark, 'rdi') === MARK_FAILED) {
      const calls: Record<number, string> = { 53: 'socketpair', 319: 'memfd_create', 9: 'mmap' };
      sendAway(request, area, areaSize, chain);
      throw infectFailed(
        pid,
        'the agent cannot set itself up in the task',
        calls[second] ?? `system call ${second}`,
        -first,
      );
    }
    let doorbell: number | undefined;
    try {
      doorbell = pidfdGetfd(pidfd, first);
      limitReceiveTime(doorbell, LOOK_AFTER_US);
      const arena = takeArena(pidfd, second);
      ptraceContinue(pid);
      return new Infection(request, area, areaSize, chain, doorbell, arena);
    } catch (error) {
      // Nobody rings: the agent closes what it has made, and goes.
      if (doorbell !== undefined) closeFd(doorbell);
      sendAway(request, area, areaSize, chain);
      throw error;
    }
  }

  /**
   * Runs the programs of further threads of the task, each in its thread, all of a round side by side. The threads are in
   * ptrace event stops, before and after, and keep registers, extended state, mask and restart block.
   * @throws CrtsError of the first instruction whose expectation was unmet, when all threads are themselves again
   */
  runThreads(threads: readonly ThreadRun[]): void {
    visitThreads(this.#place, threads);
  }

  /** The same with one program for all; `answered` is called for each thread when the results are its own. */
  askThreads(threads: readonly AskedThread[], program: ProgramBuilder, answered: (index: number) => void): void {
    questionThreads(this.#place, threads, program, answered);
  }

  get #place(): AgentPlace {
    return { pid: this.#request.pid, area: this.#area, areaSize: this.#areaSize, arena: this.#arena };
  }

  /**
   * Takes the agent out. Afterwards the thread is in a ptrace event stop with its own registers, extended state and
   * mask, as if it had never left the first stop: an interrupted system call is restarted by the kernel, with the
   * remaining time of a sleep, because no call of the agent touched its restart block.
   */
  cure(): void {
    const { pid, thread } = this.#request;
    try {
      ptraceInterrupt(pid);
      waitForEventStop(pid, waitPid(pid)!.status);
      this.task.sendLeave(this.#chain.restorer, this.#chain.frameA + 8n);
      sendAway(this.#request, this.#area, this.#areaSize, this.#chain);
      ptraceInterrupt(pid);
      waitForEventStop(pid, ptraceContinueToStop(pid));
      ptraceSetSigmask(pid, thread.sigmask);
      // The agent's code leaves it alone, but its calls may not: pkey_alloc(2) sets rights in PKRU.
      ptraceSetRegset(pid, NT_X86_XSTATE, wholeXstate(thread.xstate));
      setRegs(pid, thread.prstatus);
    } finally {
      // An agent that is left behind goes by itself then.
      this.close();
    }
  }

  /** Lets go of the engine's ends. The agent sees the end of the doorbell. */
  close(): void {
    closeFd(this.#doorbell);
    unmapShared(this.#arena);
  }
}

/**
 * The agent is on its way out through the chain. rt_sigreturn of frame A would clear the restart block: the engine unmaps the
 * agent in its stead. The thread is at the exit of that call then.
 */
function sendAway(request: InfectionRequest, area: bigint, areaSize: bigint, chain: Chain): void {
  const { pid, thread } = request;
  const { syscallRet, frameA, frameB } = chain;
  stepToCall(pid, SYS_RT_SIGRETURN, (regs) => getReg(regs, 'rsp') === frameA + 8n);
  const regs = {
    ...QUIET,
    rax: SYS_MUNMAP,
    rdi: area,
    rsi: areaSize,
    rip: syscallRet,
    rsp: frameB,
    orig_rax: -1n,
  };
  setRegs(pid, withRegs(thread.prstatus, regs));
  // The exit of the skipped rt_sigreturn, then entry and exit of munmap.
  const left = syscallStops(pid, 3);
  if (getReg(left, 'rax') !== 0n) throw agentSilent(pid, 'could not be unmapped');
  setRegs(pid, withRegs(left, { orig_rax: -1n }));
}

/** The engine's mapping of the memory that the agent has made. */
function takeArena(pidfd: number, number: number): Buffer {
  const memfd = pidfdGetfd(pidfd, number);
  try {
    // The agent leaves the size to the engine: the task's RLIMIT_FSIZE would kill it.
    syscall('ftruncate', memfd, ARENA_SIZE);
    return mapShared(memfd, ARENA_SIZE);
  } finally {
    closeFd(memfd);
  }
}

function isMark(value: bigint): boolean {
  return value === MARK_READY || value === MARK_FAILED;
}

/** The frames, with the boot block below them, and where they go: into no memory that the task owns. */
function planChain(
  request: InfectionRequest,
  area: bigint,
  areaSize: bigint,
  codeSize: bigint,
): { readonly chain: Chain; readonly bytes: Buffer } {
  const { pid, thread, gadgets } = request;
  const fpstate = encodeFpstate(thread.xstate, xstateEnds());
  const head = 2 * FRAME_SIZE + BOOT.size;
  const size = BigInt(fpstate.length + 64 + head) + AGENT_STACK;
  const top = findScratch(getReg(thread.prstatus, 'rsp'), request.vmas, request.pagemap, size);
  if (top === undefined)
    throw infectFailed(pid, `no room of ${size} bytes on the main stack for the agent's way back`, 'PAGEMAP_SCAN', 12);
  const fpAddress = (top - BigInt(fpstate.length)) & ~63n;
  const frameB = fpAddress - BigInt(FRAME_SIZE);
  const frameA = frameB - BigInt(FRAME_SIZE);
  const boot = frameA - BigInt(BOOT.size);
  const restorer = gadgets.restorer ?? area + RESTORER_OFFSET;
  const syscallRet = gadgets.syscallRet ?? area + GADGET_OFFSET;
  const bytes = Buffer.alloc(Number(fpAddress - boot) + fpstate.length);
  encodeBoot({
    area,
    areaSize,
    arena: area + codeSize,
    leaveIp: restorer,
    leaveStack: frameA + 8n,
    leaveStackInside: frameB + 8n,
  }).copy(bytes, 0);
  const unmap = {
    ...ZERO_REGISTERS,
    eflags: QUIET.eflags,
    rax: SYS_MUNMAP,
    rdi: area,
    rsi: areaSize,
    rip: syscallRet,
    rsp: frameB,
  };
  // Without gadgets of its own the task keeps the mapping: frame A is frame B then.
  const canUnmap = gadgets.restorer !== undefined && gadgets.syscallRet !== undefined;
  const frameOwn = encodeOwnFrame(thread, restorer, fpAddress);
  const frameUnmap = encodeFrame({
    restorer,
    registers: unmap,
    cs: Number(QUIET.cs),
    ss: Number(QUIET.ss),
    sigmask: ALL_SIGNALS,
    fpstate: 0n,
  });
  (canUnmap ? frameUnmap : frameOwn).copy(bytes, BOOT.size);
  frameOwn.copy(bytes, BOOT.size + FRAME_SIZE);
  fpstate.copy(bytes, Number(fpAddress - boot));
  return { chain: { frameA, frameB, boot, restorer, syscallRet }, bytes };
}

/** struct agent_boot of a dump agent, which makes its own doorbell. */
function encodeBoot(boot: {
  area: bigint;
  areaSize: bigint;
  arena: bigint;
  leaveIp: bigint;
  leaveStack: bigint;
  leaveStackInside: bigint;
}): Buffer {
  const bytes = Buffer.alloc(BOOT.size);
  bytes.writeBigUInt64LE(boot.area, BOOT.area);
  bytes.writeBigUInt64LE(boot.areaSize, BOOT.areaSize);
  bytes.writeBigUInt64LE(boot.arena, BOOT.arena);
  bytes.writeBigUInt64LE(BigInt(ARENA_SIZE), BOOT.arenaSize);
  bytes.writeBigInt64LE(-1n, BOOT.socket);
  bytes.writeBigUInt64LE(boot.leaveIp, BOOT.leaveIp);
  bytes.writeBigUInt64LE(boot.leaveStack, BOOT.leaveStack);
  bytes.writeBigUInt64LE(boot.leaveStackInside, BOOT.leaveStackInside);
  return bytes;
}

/** The one system call made from the task's own text: mmap of the agent's code. `ret` leads into the chain. */
function mapCode(request: InfectionRequest, area: bigint, codeSize: bigint, chain: Chain): void {
  const { pid, thread, gadgets } = request;
  const ip = gadgets.syscallRet ?? bareSyscall(request);
  const regs = {
    ...QUIET,
    rip: ip,
    rsp: chain.frameA,
    rax: SYS_MMAP,
    rdi: area,
    rsi: codeSize,
    rdx: PROT_READ_EXEC,
    r10: MAP_PRIVATE_ANON_FIXED_NOREPLACE,
    r8: -1n,
    r9: 0n,
    orig_rax: -1n,
  };
  setRegs(pid, withRegs(thread.prstatus, regs));
  ptraceSetSigmask(pid, ALL_SIGNALS);
  // Its entry and its exit.
  const result = BigInt.asIntN(64, getReg(syscallStops(pid, 2), 'rax'));
  if (result !== area)
    throw infectFailed(
      pid,
      'the agent cannot be mapped into the task',
      `mmap(0x${area.toString(16)}, ${codeSize})`,
      Number(-result),
    );
}

/** Every task with a vdso has a `syscall` instruction in it: the fallback of clock_gettime. */
function bareSyscall(request: InfectionRequest): bigint {
  const vdso = request.vmas.find((vma) => vma.name === '[vdso]');
  if (vdso !== undefined) {
    const code = Buffer.alloc(Number(vdso.end - vdso.start));
    preadFull(request.mem, code, vdso.start);
    const found = findSyscall(code, vdso.start);
    if (found !== undefined) return found;
  }
  throw infectFailed(request.pid, 'no system call instruction in the text of the task', 'search', 2);
}

/** Registers and mask as they were at the first stop; the thread is in some ptrace stop. */
function putBack(request: InfectionRequest): void {
  ptraceInterrupt(request.pid);
  const regs = ptraceGetRegset(request.pid, NT_PRSTATUS);
  // A system call that is just being entered must not be made.
  setRegs(request.pid, withRegs(regs, { orig_rax: -1n }));
  waitForEventStop(request.pid, ptraceContinueToStop(request.pid));
  ptraceSetSigmask(request.pid, request.thread.sigmask);
  setRegs(request.pid, request.thread.prstatus);
}

function setRegs(pid: number, regs: Buffer): void {
  ptraceSetRegset(pid, NT_PRSTATUS, regs);
}
