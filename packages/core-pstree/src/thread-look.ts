/** What is found out of threads that have just stopped, and put right in them at once. */
import {
  addressOf,
  NT_PRSTATUS,
  nameRestartedCall,
  PTRACE_O_SUSPEND_SECCOMP,
  PTRACE_O_TRACESYSGOOD,
  preadFull,
  ptraceSetOptions,
  ptraceSetRegset,
  ptraceThreadStates,
  SyscallBatch,
  SyscallError,
  undoStopInterruption,
} from '@crts/native-syscalls';
import type { ThreadFacts, ThreadState } from '@crts/plugin-api';
import { abortCriticalSection } from './critical-section';
import { seccompSuspension } from './errors';
import { signalWaits } from './proc';

const ENODATA = 61;

export interface StoppedThreadLook {
  readonly facts: ThreadFacts;
  readonly state: ThreadState;
}

/** `mem`: /proc/PID/mem of their process. @throws with some of them looked at */
export function lookAtThreads(
  mem: number,
  tids: readonly number[],
  facts: readonly ThreadFacts[],
): StoppedThreadLook[] {
  const found = ptraceThreadStates(tids);
  const sections = criticalSections(mem, tids, found);
  return tids.map((tid, index) => {
    const { prstatus: seen } = found[index]!;
    const prstatus = Buffer.from(seen);
    const own = facts[index]!;
    if ((own.status.get('Seccomp') ?? '0') !== '0') suspendSeccomp(tid);
    undoStopInterruption(prstatus, signalWaits(own));
    nameRestartedCall(prstatus, (address, length) => readIfMapped(mem, address, length));
    if (sections[index] !== 0n)
      abortCriticalSection(found[index]!.rseq!.pointer, prstatus, (address, length) => read(mem, address, length));
    // At once, so that it holds whatever becomes of the dump.
    if (!prstatus.equals(seen)) ptraceSetRegset(tid, NT_PRSTATUS, prstatus);
    return { facts: own, state: { ...found[index]!, prstatus } };
  });
}

/** The agent's calls in this thread are not filtered. */
function suspendSeccomp(tid: number): void {
  try {
    ptraceSetOptions(tid, PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP);
  } catch (error) {
    throw error instanceof SyscallError ? seccompSuspension(tid, error.errno) : error;
  }
}

/** Of each thread the address of the rseq critical section that it may be in (struct rseq, rseq_cs), 0 of most. */
function criticalSections(mem: number, tids: readonly number[], states: readonly ThreadState[]): BigUint64Array {
  const sections = new BigUint64Array(Math.max(1, states.length));
  const base = Number(addressOf(new Uint8Array(sections.buffer)));
  const batch = new SyscallBatch(states.length);
  const asked: number[] = [];
  states.forEach(({ rseq }, index) => {
    if (rseq === undefined) return;
    batch.add('pread64', mem, base + 8 * index, 8, Number(rseq.pointer) + 8);
    asked.push(tids[index]!);
  });
  batch.run();
  for (const [call, tid] of asked.entries()) {
    const result = batch.result(call);
    if (result < 8) throw new SyscallError(`pread64 of struct rseq of thread ${tid}`, result < 0 ? -result : ENODATA);
  }
  return sections;
}

function readIfMapped(mem: number, address: bigint, length: number): Buffer | undefined {
  try {
    return read(mem, address, length);
  } catch {
    return undefined;
  }
}

function read(mem: number, address: bigint, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  preadFull(mem, bytes, address);
  return bytes;
}
