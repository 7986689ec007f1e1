/** What ptrace(2) tells of stopped threads, and tells them to be: many of them in one native call. */
import type { ThreadState } from '@crts/plugin-api';
import { SyscallBatch } from './batch';
import { SyscallError } from './errors';
import { addressOf, keepReachable } from './memory';
import { NT_PRSTATUS, NT_X86_XSTATE, ptraceGetRegset, ptraceSetSyscallDispatch, runAll } from './ptrace';
import { USER_REGS_SIZE } from './remote/registers';
import { ptraceRseqConfiguration } from './struct/tables';
import { unusualComponents, usualXstateBytes } from './xstate';

const PTRACE_GETREGSET = 0x4204;
const PTRACE_SETREGSET = 0x4205;
const PTRACE_GETSIGMASK = 0x420a;
const PTRACE_SETSIGMASK = 0x420b;
const PTRACE_GET_RSEQ_CONFIGURATION = 0x420f;
const CALLS = [
  'PTRACE_GET_RSEQ_CONFIGURATION',
  'PTRACE_GETREGSET, NT_PRSTATUS',
  'PTRACE_GETREGSET, NT_X86_XSTATE',
  'PTRACE_GETSIGMASK',
];
/** Threads whose states lie in one piece of memory. */
const CHUNK = 1024;
const TWO32 = 0x1_0000_0000;

/** Places in what a thread has of that memory, 64-bit words: two struct iovec, the mask, the rseq configuration; then the registers. */
const REGS_IOV = 0;
const XSTATE_IOV = 16;
const MASK = 32;
const RSEQ = 40;
const REGS = 64;
const XSTATE = REGS + USER_REGS_SIZE;

/** States of threads that are in a ptrace stop, in their order. The extended state goes as far as anything is in use. */
export function ptraceThreadStates(tids: readonly number[]): ThreadState[] {
  const states: ThreadState[] = [];
  for (let first = 0; first < tids.length; first += CHUNK) readChunk(tids.slice(first, first + CHUNK), states);
  return states;
}

function readChunk(tids: readonly number[], states: ThreadState[]): void {
  const xstateBytes = usualXstateBytes();
  const slotBytes = (XSTATE + xstateBytes + 7) & ~7;
  const memory = Buffer.from(new ArrayBuffer(tids.length * slotBytes));
  const words = new Uint32Array(memory.buffer);
  const masks = new BigUint64Array(memory.buffer);
  const base = Number(addressOf(memory));
  const batch = new SyscallBatch(tids.length * CALLS.length);
  tids.forEach((tid, index) => {
    const at = index * slotBytes;
    putVector(words, at + REGS_IOV, base + at + REGS, USER_REGS_SIZE);
    putVector(words, at + XSTATE_IOV, base + at + XSTATE, xstateBytes);
    batch.add('ptrace', PTRACE_GET_RSEQ_CONFIGURATION, tid, ptraceRseqConfiguration.size, base + at + RSEQ);
    batch.add('ptrace', PTRACE_GETREGSET, tid, NT_PRSTATUS, base + at + REGS_IOV);
    batch.add('ptrace', PTRACE_GETREGSET, tid, NT_X86_XSTATE, base + at + XSTATE_IOV);
    batch.add('ptrace', PTRACE_GETSIGMASK, tid, 8, base + at + MASK);
  });
  batch.run();
  tids.forEach((tid, index) => {
    CALLS.forEach((call, step) => {
      const result = batch.result(index * CALLS.length + step);
      if (result < 0) throw new SyscallError(`ptrace(${call}, ${tid})`, -result);
    });
    const at = index * slotBytes;
    const prstatus = memory.subarray(at + REGS, at + REGS + words[(at + REGS_IOV) / 4 + 2]!);
    const usual = memory.subarray(at + XSTATE, at + XSTATE + words[(at + XSTATE_IOV) / 4 + 2]!);
    const xstate = unusualComponents(usual) === 0n ? usual : ptraceGetRegset(tid, NT_X86_XSTATE);
    const pointer = masks[(at + RSEQ) / 8]!;
    const rseq =
      pointer === 0n
        ? undefined
        : {
            pointer,
            size: words[(at + RSEQ) / 4 + 2]!,
            signature: words[(at + RSEQ) / 4 + 3]!,
            flags: words[(at + RSEQ) / 4 + 4]!,
          };
    states.push({ prstatus, xstate, sigmask: masks[(at + MASK) / 8]!, rseq });
  });
}

function putVector(words: Uint32Array, at: number, address: number, length: number): void {
  words[at / 4] = address;
  words[at / 4 + 1] = Math.floor(address / TWO32);
  words[at / 4 + 2] = length;
}

/** What a thread is to have. */
export interface StateOfThread {
  readonly tid: number;
  readonly state: ThreadState;
}

/** Threads that are told at a time: what they are to have is copied for it. */
const SET_CHUNK = 128;
const SET_CALLS = ['PTRACE_SETREGSET, NT_X86_XSTATE', 'PTRACE_SETREGSET, NT_PRSTATUS', 'PTRACE_SETSIGMASK'];

/** Gives threads that are in a ptrace stop their states. @throws SyscallError */
export function ptraceSetThreadStates(threads: readonly StateOfThread[]): void {
  for (let first = 0; first < threads.length; first += SET_CHUNK) writeChunk(threads.slice(first, first + SET_CHUNK));
  for (const { tid, state } of threads)
    if (state.syscallDispatch !== undefined) ptraceSetSyscallDispatch(tid, state.syscallDispatch);
}

function writeChunk(threads: readonly StateOfThread[]): void {
  const most = threads.reduce((size, { state }) => Math.max(size, state.xstate.length), 0);
  const slotBytes = (XSTATE + most + 7) & ~7;
  const memory = Buffer.from(new ArrayBuffer(threads.length * slotBytes));
  const words = new Uint32Array(memory.buffer);
  const masks = new BigUint64Array(memory.buffer);
  const base = Number(addressOf(memory));
  const batch = new SyscallBatch(threads.length * SET_CALLS.length);
  threads.forEach(({ tid, state: { prstatus, xstate, sigmask } }, index) => {
    const at = index * slotBytes;
    putVector(words, at + REGS_IOV, base + at + REGS, prstatus.length);
    putVector(words, at + XSTATE_IOV, base + at + XSTATE, xstate.length);
    masks[(at + MASK) / 8] = sigmask;
    memory.set(prstatus, at + REGS);
    memory.set(xstate, at + XSTATE);
    batch.add('ptrace', PTRACE_SETREGSET, tid, NT_X86_XSTATE, base + at + XSTATE_IOV);
    batch.add('ptrace', PTRACE_SETREGSET, tid, NT_PRSTATUS, base + at + REGS_IOV);
    batch.add('ptrace', PTRACE_SETSIGMASK, tid, 8, base + at + MASK);
  });
  const calls = SET_CALLS.length;
  runAll(batch, (index) => `ptrace(${SET_CALLS[index % calls]}, ${threads[Math.floor(index / calls)]!.tid})`);
  keepReachable(memory);
}
