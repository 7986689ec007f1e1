/**
 * Signal frames of x86-64 as rt_sigreturn(2) reads them: a frame on the stack restores every register, the extended
 * state and the signal mask in one system call, with no help from a tracer.
 *
 * Layout: struct rt_sigframe of arch/x86/include/asm/sigframe.h = pretcode (8 bytes), struct ucontext, siginfo; the
 * extended state lies elsewhere, 64-byte aligned, where uc_mcontext.fpstate points.
 */

import type { ThreadState } from '@crts/plugin-api';
import { fpxSwBytes, sigcontext, ucontext, userRegs } from '../struct/tables';
import { USUAL_COMPONENTS, unusualComponents, XSAVE_HEADER } from '../xstate';
import { restartAdjusted } from './registers';

const UC_FP_XSTATE = 1n;
const UC_SIGCONTEXT_SS = 2n;
const UC_STRICT_RESTORE_SS = 4n;

/** struct ucontext lies behind pretcode. */
const UC = 8;
const UC_STACK_FLAGS = UC + ucontext.offsets['uc_stack.ss_flags'];
const MCONTEXT = UC + ucontext.offsets.uc_mcontext;
const SIGMASK = UC + ucontext.offsets.uc_sigmask;

/** Everything rt_sigreturn reads, rounded up; the siginfo behind it is not read. */
export const FRAME_SIZE = 320;

const MCONTEXT_REGISTERS = [
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
  'rdi',
  'rsi',
  'rbp',
  'rbx',
  'rdx',
  'rax',
  'rcx',
  'rsp',
  'rip',
  'eflags',
] as const satisfies readonly (keyof typeof sigcontext.fields)[];

export type FrameRegister = (typeof MCONTEXT_REGISTERS)[number];

export interface Frame {
  /** Where rt_sigreturn's return path goes first: `pretcode`, reached by a `ret`. */
  readonly restorer: bigint;
  readonly registers: Readonly<Record<FrameRegister, bigint>>;
  readonly cs: number;
  readonly ss: number;
  readonly sigmask: bigint;
  /** Address of the extended state as encodeFpstate() makes it; 0 puts the FPU into its initial state. */
  readonly fpstate: bigint;
}

/** The bytes of one frame. The stack pointer at rt_sigreturn's entry must be the frame's address + 8. */
export function encodeFrame(frame: Frame): Buffer {
  const bytes = Buffer.alloc(FRAME_SIZE);
  writeHead(bytes, 0, frame.restorer, frame.sigmask, frame.fpstate);
  for (const name of MCONTEXT_REGISTERS) sigcontext.set(bytes, name, frame.registers[name], MCONTEXT);
  sigcontext.set(bytes, 'cs', frame.cs, MCONTEXT);
  sigcontext.set(bytes, 'ss', frame.ss, MCONTEXT);
  return bytes;
}

export const ZERO_REGISTERS = Object.fromEntries(MCONTEXT_REGISTERS.map((name) => [name, 0n])) as Record<
  FrameRegister,
  bigint
>;

/** The frame that makes a thread what it was when it stopped; a call that the stop interrupted is made again. */
export function encodeOwnFrame(state: ThreadState, restorer: bigint, fpstate: bigint): Buffer {
  const bytes = Buffer.alloc(FRAME_SIZE);
  writeOwnFrame(bytes, 0, state, restorer, fpstate);
  return bytes;
}

/** Where each register lies in struct user_regs_struct, and in a frame. */
const PLACES = MCONTEXT_REGISTERS.map((name) => [userRegs.offsets[name], MCONTEXT + sigcontext.offsets[name]] as const);

/** The same into a buffer; for a thousand threads, so that nothing is allocated but a copy of the registers. */
export function writeOwnFrame(
  into: Buffer,
  at: number,
  { prstatus, sigmask }: ThreadState,
  restorer: bigint,
  fpstate: bigint,
): void {
  const own = restartAdjusted(prstatus);
  into.fill(0, at, at + FRAME_SIZE);
  writeHead(into, at, restorer, sigmask, fpstate);
  for (const [from, to] of PLACES) own.copy(into, at + to, from, from + 8);
  own.copy(into, at + MCONTEXT + sigcontext.offsets.cs, userRegs.offsets.cs, userRegs.offsets.cs + 2);
  own.copy(into, at + MCONTEXT + sigcontext.offsets.ss, userRegs.offsets.ss, userRegs.offsets.ss + 2);
}

function writeHead(bytes: Buffer, at: number, restorer: bigint, sigmask: bigint, fpstate: bigint): void {
  bytes.writeBigUInt64LE(restorer, at);
  bytes.writeBigUInt64LE(UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS | (fpstate === 0n ? 0n : UC_FP_XSTATE), at + UC);
  // restore_altstack() ignores every error but EFAULT, so flags that sigaltstack(2) refuses leave the alternate
  // stack as it is: do_sigaltstack(), kernel/signal.c.
  bytes.writeInt32LE(0x7fff_ffff, at + UC_STACK_FLAGS);
  sigcontext.set(bytes, 'fpstate', fpstate, at + MCONTEXT);
  bytes.writeBigUInt64LE(sigmask, at + SIGMASK);
}

const XSTATE_MAGIC1 = 0x46505853;
const XSTATE_MAGIC2 = 0x46505845;
/** struct _fpx_sw_bytes lies in the last bytes of the legacy area: magic1, extended_size, xfeatures, xstate_size. */
const SW_RESERVED = 464;

/**
 * The extended state of a frame from an NT_X86_XSTATE area, which has the same standard format.
 *
 * The kernel takes the area only when its size is at most what the task may use (fpstate->user_size), which does not
 * count AMX unless the task asked for it: check_xstate_in_sigframe(), arch/x86/kernel/fpu/signal.c. `ends` gives the
 * end of each component in the standard format (cpuid leaf 0xd).
 */
export function encodeFpstate(xstate: Buffer, ends: ReadonlyMap<number, number>): Buffer {
  const bytes = Buffer.alloc(fpstateSize(xstate, ends));
  writeFpstate(bytes, 0, xstate, ends);
  return bytes;
}

export function fpstateSize(xstate: Buffer, ends: ReadonlyMap<number, number>): number {
  return layoutOf(xstate, ends).size + 4;
}

/** The same into a buffer that has room for it. */
export function writeFpstate(into: Buffer, at: number, xstate: Buffer, ends: ReadonlyMap<number, number>): void {
  const { size, software } = layoutOf(xstate, ends);
  xstate.copy(into, at, 0, size);
  into.fill(0, at + SW_RESERVED, at + XSAVE_HEADER);
  software.copy(into, at + SW_RESERVED);
  into.writeUInt32LE(XSTATE_MAGIC2, at + size);
}

interface FpstateLayout {
  readonly size: number;
  readonly software: Buffer;
}

/** That of the last thread: all of a process are nearly always alike. */
let known: (FpstateLayout & { readonly unusual: bigint; readonly length: number; readonly ends: unknown }) | undefined;

function layoutOf(xstate: Buffer, ends: ReadonlyMap<number, number>): FpstateLayout {
  const unusual = unusualComponents(xstate);
  const { length } = xstate;
  if (known?.unusual === unusual && known.length === length && known.ends === ends) return known;
  let features = 0b11n;
  let size = XSAVE_HEADER + 64;
  for (const [component, end] of ends) {
    const bit = 1n << BigInt(component);
    if ((USUAL_COMPONENTS & bit) === 0n && (unusual & bit) === 0n) continue;
    if (end > length) continue;
    features |= bit;
    size = Math.max(size, end);
  }
  const software = fpxSwBytes.encode({
    magic1: XSTATE_MAGIC1,
    extended_size: size + 4,
    xfeatures: features,
    xstate_size: size,
  });
  known = { size, software, unusual, length, ends };
  return known;
}
