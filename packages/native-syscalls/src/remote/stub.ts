/** The first program of a restored task, and the last step that lets it go. */
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
  PTRACE_O_TRACESYSGOOD,
  ptraceGetRegset,
  ptraceInterrupt,
  ptraceSeize,
  ptraceSetRegset,
  ptraceSetSigmask,
  ptraceToSyscall,
} from '../ptrace';
import { receiveMessage, sendMessage, seqpacketPair } from '../socket';
import { waitPid, waitStatus } from '../wait';
import { expectSyscallStop, stepToCall, waitForEventStop } from './infection';
import { BOOT, REPLY, REPLY_SIZE } from './protocol';
import { getReg } from './registers';
import { RemoteTask } from './remote-task';

const PAGE = 4096n;
const SYS_MUNMAP = 11n;
/** A restore agent's stack is the end of its arena. */
const STACK_BYTES = 16 * 1024;

export interface StubRequest {
  /** Pid that the task gets, 0 for any. */
  readonly pid: number;
  readonly flags: bigint;
  /** Where agent and arena go: free in the task's final layout. */
  readonly area: { readonly start: bigint; readonly end: bigint };
  /** Number of the agent's descriptor: one that the task does not use itself. */
  readonly doorbellNumber: number;
}

/** A task under construction. */
export interface StubTask {
  readonly hostPid: number;
  readonly task: RemoteTask;
  /** Lets go of the engine's ends; an agent that still lives exits then. */
  close(): void;
}

/** Bytes of address space that agent and arena need for programs of `programBytes` a batch. */
export function stubAreaSize(programBytes: number): bigint {
  return codeSize() + ((BigInt(programBytes + STACK_BYTES) + PAGE - 1n) & ~(PAGE - 1n));
}

function codeSize(): bigint {
  return (BigInt(agentBlob().length) + PAGE - 1n) & ~(PAGE - 1n);
}

/**
 * Makes a process that runs the agent and nothing else.
 * @throws SyscallError of clone3 (EEXIST: the pid is in use), CrtsError when the stub died
 */
export function launchStub(request: StubRequest): StubTask {
  const areaSize = request.area.end - request.area.start;
  const arenaSize = Number(areaSize - codeSize());
  const fd = memfd('crts', arenaSize);
  const arena = mapShared(fd, arenaSize);
  const [own, theirs] = seqpacketPair();
  let hostPid: number;
  try {
    hostPid = spawn({
      path: stubPath(),
      doorbell: theirs,
      doorbellNumber: request.doorbellNumber,
      pid: request.pid,
      flags: request.flags,
    });
  } catch (error) {
    closeFd(own);
    closeFd(fd);
    unmapShared(arena);
    throw error;
  } finally {
    closeFd(theirs);
  }
  const boot = Buffer.alloc(BOOT.size);
  boot.writeBigUInt64LE(request.area.start, BOOT.area);
  boot.writeBigUInt64LE(codeSize(), BOOT.codeSize);
  boot.writeBigUInt64LE(areaSize, BOOT.areaSize);
  const reply = Buffer.alloc(REPLY_SIZE);
  const answered = sendMessage(own, boot, [fd]) && receiveMessage(own, reply) === REPLY_SIZE;
  closeFd(fd);
  if (!answered || reply.readBigUInt64LE(0) !== BigInt(REPLY.READY)) {
    closeFd(own);
    unmapShared(arena);
    throw stubDied(hostPid);
  }
  return {
    hostPid,
    task: new RemoteTask(hostPid, own, arena, arenaSize - STACK_BYTES),
    close: () => {
      closeFd(own);
      unmapShared(arena);
    },
  };
}

/** Exit codes of native/stub/stub.c. */
const STUB_EXITS: Record<number, string> = {
  101: 'was started without the number of its doorbell',
  102: 'got no boot message',
  103: 'could not map the agent: its address range is taken',
  104: 'could not make the agent executable',
  105: 'could not map the arena',
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

/**
 * The last step: the agent leaves its doorbell, unmaps itself and its arena with a `syscall` instruction of the task
 * (its vdso's), and at that call's exit the thread gets its own registers, extended state and mask, and runs.
 *
 * An engine that dies meanwhile takes the unfinished task with it (PTRACE_O_EXITKILL).
 */
export function releaseTask(stub: StubTask, syscallAt: bigint, thread: ThreadState, beforeDetach: () => void): void {
  const pid = stub.hostPid;
  ptraceSeize(pid, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  ptraceInterrupt(pid);
  const stopped = waitPid(pid);
  if (stopped === undefined) throw taskGone(pid, 'its release');
  waitForEventStop(pid, stopped.status);
  stub.task.sendLeave(syscallAt, 0n);
  stepToCall(pid, (regs) => getReg(regs, 'orig_rax') === SYS_MUNMAP);
  expectSyscallStop(pid, ptraceToSyscall(pid));
  if (getReg(ptraceGetRegset(pid, NT_PRSTATUS), 'rax') !== 0n) throw agentSilent(pid, 'could not be unmapped');
  ptraceSetRegset(pid, NT_X86_XSTATE, thread.xstate);
  ptraceSetRegset(pid, NT_PRSTATUS, thread.prstatus);
  ptraceSetSigmask(pid, thread.sigmask);
  beforeDetach();
}
