/** ptrace(2). All calls must come from the one thread that seized: Node's main thread. */
import type { SyscallDispatch } from '@crts/plugin-api';
import { addon } from './addon';
import { SyscallBatch } from './batch';
import { SyscallError } from './errors';
import { addressOf, keepReachable } from './memory';

import { peekSiginfoArgs, ptraceRseqConfiguration, ptraceSudConfig, seccompMetadata } from './struct/tables';
import { rawSyscall, syscall } from './syscall';

// include/uapi/linux/ptrace.h
const PTRACE_PEEKUSER = 3;
const PTRACE_CONT = 7;
const PTRACE_DETACH = 17;
const PTRACE_SYSCALL = 24;
const PTRACE_SETOPTIONS = 0x4200;
const PTRACE_GETREGSET = 0x4204;
const PTRACE_SETREGSET = 0x4205;
const PTRACE_SEIZE = 0x4206;
const PTRACE_INTERRUPT = 0x4207;
const PTRACE_PEEKSIGINFO = 0x4209;
const PTRACE_GETSIGMASK = 0x420a;
const PTRACE_SETSIGMASK = 0x420b;
const PTRACE_SECCOMP_GET_FILTER = 0x420c;
const PTRACE_SECCOMP_GET_METADATA = 0x420d;
const PTRACE_GET_RSEQ_CONFIGURATION = 0x420f;
const PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG = 0x4210;
const PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG = 0x4211;
const ENOENT = 2;
const EIO = 5;
const EINVAL = 22;

export const PTRACE_O_TRACESYSGOOD = 1;
export const PTRACE_O_EXITKILL = 0x100000;
export const PTRACE_O_SUSPEND_SECCOMP = 0x200000;
export const PTRACE_EVENT_STOP = 128;

/** include/uapi/linux/elf.h */
export const NT_PRSTATUS = 1;
export const NT_X86_XSTATE = 0x202;

/** sizeof(struct sock_filter), include/uapi/linux/filter.h. */
const SOCK_FILTER = 8;
/** Largest xsave area accepted: AMX makes 11,008 bytes; room for what comes. */
const XSTATE_MAX = 64 * 1024;

export function ptraceSeize(pid: number, options: number): void {
  syscall('ptrace', PTRACE_SEIZE, pid, 0, options);
}

export function ptraceSetOptions(pid: number, options: number): void {
  syscall('ptrace', PTRACE_SETOPTIONS, pid, 0, options);
}

export function ptraceInterrupt(pid: number): void {
  syscall('ptrace', PTRACE_INTERRUPT, pid, 0, 0);
}

/** The same request to many threads, in one native call; `data` is the last argument of each. */
function ptraceAll(request: number, pids: readonly number[], data: (index: number) => number): void {
  const batch = new SyscallBatch(pids.length);
  for (let index = 0; index < pids.length; index++) batch.add('ptrace', request, pids[index]!, 0, data(index));
  runAll(batch, (index) => `ptrace(0x${request.toString(16)}, ${pids[index]})`);
}

/** @throws SyscallError of the first call that failed, when all were made */
export function runAll(batch: SyscallBatch, describe: (index: number) => string): void {
  batch.run();
  const failed = batch.firstFailed;
  if (failed >= 0) throw new SyscallError(describe(failed), -batch.result(failed));
}

export function ptraceSeizeAll(pids: readonly number[], options: number): void {
  ptraceAll(PTRACE_SEIZE, pids, () => options);
}

export function ptraceInterruptAll(pids: readonly number[]): void {
  ptraceAll(PTRACE_INTERRUPT, pids, () => 0);
}

export function ptraceDetachAll(pids: readonly number[]): void {
  ptraceAll(PTRACE_DETACH, pids, () => 0);
}

/** To the next entry or exit of a system call, without waiting; `signals` are delivered as the threads resume. */
export function ptraceResumeAllToSyscall(pids: readonly number[], signals: readonly number[]): void {
  ptraceAll(PTRACE_SYSCALL, pids, (index) => signals[index]!);
}

/** No call: ptraceSyscallStops() makes all the stops that it is asked for. */
const NO_CALL = -2;

/**
 * Resumes from one entry or exit of a system call to the next, `stops` times, or until one is of `call`, which both its entry and its
 * exit are. Signals that arrive on the way are delivered.
 * @param regs receives the registers there, struct user_regs_struct
 * @returns the last wait status: of an ended task where it is no stop
 * @throws SyscallError; EAGAIN when it is stopped by signals again and again
 */
export function ptraceSyscallStops(pid: number, stops: number, regs: Buffer, call = NO_CALL): number {
  const status = addon().ptraceSyscallStops(pid, stops, call, regs);
  if (status < 0) throw new SyscallError(`ptrace(PTRACE_SYSCALL, ${pid})`, -status);
  return status;
}

/** rax and orig_rax are words 11 and 16 of struct user_regs_struct, with which struct user begins. */
const RAX = 10 * 8;
const ORIG_RAX = 15 * 8;

/** Numbers of the system calls that threads are stopped in. */
export function ptraceSyscallNumbers(pids: readonly number[]): BigInt64Array {
  return peekAll(pids, ORIG_RAX);
}

/** What the calls gave that threads are stopped at the exits of. */
export function ptraceSyscallResults(pids: readonly number[]): BigInt64Array {
  return peekAll(pids, RAX);
}

function peekAll(pids: readonly number[], at: number): BigInt64Array {
  const words = new BigInt64Array(pids.length);
  const base = Number(addressOf(new Uint8Array(words.buffer)));
  const batch = new SyscallBatch(pids.length);
  for (let index = 0; index < pids.length; index++)
    batch.add('ptrace', PTRACE_PEEKUSER, pids[index]!, at, base + 8 * index);
  runAll(batch, (index) => `ptrace(PTRACE_PEEKUSER, ${pids[index]})`);
  return words;
}

/** Resumes and returns the wait status of the next stop; `signal` is delivered as the task resumes. */
export function ptraceContinueToStop(pid: number, signal = 0): number {
  const status = addon().ptraceStep(PTRACE_CONT, pid, signal);
  if (status < 0) throw new SyscallError(`ptrace(PTRACE_CONT, ${pid})`, -status);
  return status;
}

/** Resumes without waiting. */
export function ptraceContinue(pid: number, signal = 0): void {
  syscall('ptrace', PTRACE_CONT, pid, 0, signal);
}

/** Lets go; `signal` is delivered as the task resumes. */
export function ptraceDetach(pid: number, signal = 0): void {
  syscall('ptrace', PTRACE_DETACH, pid, 0, signal);
}

/** Reused: a process of a thousand threads has a thousand areas of 11 kB at most, not of XSTATE_MAX. */
let scratch: Buffer | undefined;

/** A register set, as long as the kernel has it. */
export function ptraceGetRegset(pid: number, type: number): Buffer {
  scratch ??= Buffer.alloc(XSTATE_MAX);
  const iov = new BigUint64Array([addon().addressOf(scratch), BigInt(scratch.length)]);
  syscall('ptrace', PTRACE_GETREGSET, pid, type, iov);
  return Buffer.from(scratch.subarray(0, Number(iov[1])));
}

export function ptraceSetRegset(pid: number, type: number, bytes: Buffer): void {
  const iov = new BigUint64Array([addon().addressOf(bytes), BigInt(bytes.length)]);
  syscall('ptrace', PTRACE_SETREGSET, pid, type, iov);
  keepReachable(bytes);
}

/** Blocked signals, bit n-1 for signal n. */
export function ptraceGetSigmask(pid: number): bigint {
  const mask = new BigUint64Array(1);
  syscall('ptrace', PTRACE_GETSIGMASK, pid, 8, mask);
  return mask[0]!;
}

export function ptraceSetSigmask(pid: number, mask: bigint): void {
  syscall('ptrace', PTRACE_SETSIGMASK, pid, 8, new BigUint64Array([mask]));
}

export interface RseqRegistration {
  readonly pointer: bigint;
  readonly size: number;
  readonly signature: number;
  readonly flags: number;
}

/** The thread's rseq registration (Linux 5.13), undefined when it has none. */
export function ptraceGetRseq(pid: number): RseqRegistration | undefined {
  const config = Buffer.alloc(ptraceRseqConfiguration.size);
  syscall('ptrace', PTRACE_GET_RSEQ_CONFIGURATION, pid, config.length, config);
  const pointer = ptraceRseqConfiguration.get(config, 'rseq_abi_pointer');
  if (pointer === 0n) return undefined;
  return {
    pointer,
    size: ptraceRseqConfiguration.get(config, 'rseq_abi_size'),
    signature: ptraceRseqConfiguration.get(config, 'signature'),
    flags: ptraceRseqConfiguration.get(config, 'flags'),
  };
}

/** Syscall user dispatch of a stopped thread; undefined where it is off. Kernels without the request (Linux 6.4) have it off. */
export function ptraceGetSyscallDispatch(pid: number): SyscallDispatch | undefined {
  const config = Buffer.alloc(ptraceSudConfig.size);
  const result = rawSyscall('ptrace', PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, pid, config.length, config);
  // Older kernels: EIO from ptrace_request(); architectures without it: EINVAL, include/linux/syscall_user_dispatch.h.
  if (result === -EIO || result === -EINVAL) return undefined;
  if (result < 0) throw new SyscallError(`ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, ${pid})`, -result);
  if (ptraceSudConfig.get(config, 'mode') === 0n) return undefined;
  return {
    offset: ptraceSudConfig.get(config, 'offset'),
    length: ptraceSudConfig.get(config, 'len'),
    selector: ptraceSudConfig.get(config, 'selector'),
  };
}

const EXCLUSIVE_ON = 1n;
const INCLUSIVE_ON = 2n;

/** Switches it on. The kernel keeps a range whose calls are dispatched inside out, and takes it as it was given. */
export function ptraceSetSyscallDispatch(pid: number, { offset, length, selector }: SyscallDispatch): void {
  const end = BigInt.asUintN(64, offset + length);
  const range =
    offset !== 0n && end <= offset
      ? { mode: INCLUSIVE_ON, offset: end, len: BigInt.asUintN(64, -length) }
      : { mode: EXCLUSIVE_ON, offset, len: length };
  const config = ptraceSudConfig.encode({ ...range, selector });
  syscall('ptrace', PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, pid, config.length, config);
}

/** siginfo_t of one signal, include/uapi/asm-generic/siginfo.h SI_MAX_SIZE. */
export const SIGINFO_SIZE = 128;
const PEEK_SHARED = 1;
/** Signals taken in one call; RLIMIT_SIGPENDING bounds the queue itself. */
const PEEK_BATCH = 32;

/** Used again and again: most threads have no signals. */
let peeked: Buffer | undefined;

/** Signals in a stopped thread's queue, or in its process's, in the order of delivery; they stay queued. */
export function ptracePeekSignals(pid: number, shared: boolean): Buffer[] {
  const found: Buffer[] = [];
  peeked ??= Buffer.alloc(SIGINFO_SIZE * PEEK_BATCH);
  for (;;) {
    const arg = peekSiginfoArgs.encode({ off: BigInt(found.length), flags: shared ? PEEK_SHARED : 0, nr: PEEK_BATCH });
    const count = syscall('ptrace', PTRACE_PEEKSIGINFO, pid, arg, peeked);
    for (let i = 0; i < count; i++) found.push(Buffer.from(peeked.subarray(i * SIGINFO_SIZE, (i + 1) * SIGINFO_SIZE)));
    if (count < PEEK_BATCH) return found;
  }
}

/** A seccomp filter of a thread: an array of struct sock_filter, and of its flags those that the kernel tells (LOG). */
export interface SeccompFilterCode {
  readonly program: Buffer;
  readonly flags: number;
}

/**
 * The filters of a stopped thread, the oldest first: get_nth_filter(), kernel/seccomp.c.
 * @throws SyscallError EACCES without CAP_SYS_ADMIN, or where the caller itself runs under seccomp
 */
export function ptraceSeccompFilters(pid: number): SeccompFilterCode[] {
  const filters: SeccompFilterCode[] = [];
  for (;;) {
    const count = rawSyscall('ptrace', PTRACE_SECCOMP_GET_FILTER, pid, filters.length, null);
    if (count === -ENOENT) return filters;
    if (count < 0) throw new SyscallError(`ptrace(PTRACE_SECCOMP_GET_FILTER, ${pid})`, -count);
    const program = Buffer.alloc(count * SOCK_FILTER);
    syscall('ptrace', PTRACE_SECCOMP_GET_FILTER, pid, filters.length, program);
    filters.push({ program, flags: seccompFlags(pid, filters.length) });
  }
}

function seccompFlags(pid: number, index: number): number {
  const metadata = seccompMetadata.encode({ filter_off: BigInt(index) });
  const result = rawSyscall('ptrace', PTRACE_SECCOMP_GET_METADATA, pid, metadata.length, metadata);
  // Before Linux 4.16.
  if (result === -EIO) return 0;
  if (result < 0) throw new SyscallError(`ptrace(PTRACE_SECCOMP_GET_METADATA, ${pid})`, -result);
  return Number(seccompMetadata.get(metadata, 'flags'));
}
