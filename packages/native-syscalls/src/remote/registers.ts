import { userRegs } from '../struct/tables';

/** Registers of NT_PRSTATUS, struct user_regs_struct. */
export type UserReg = keyof typeof userRegs.fields;
export const USER_REGS_SIZE = userRegs.size;

const OFFSET = userRegs.offsets;

export function getReg(regs: Buffer, name: UserReg): bigint {
  return regs.readBigUInt64LE(OFFSET[name]);
}

/** The low 64 bits of `value`, so that -1n is all ones. */
export function setReg(regs: Buffer, name: UserReg, value: bigint): void {
  regs.writeBigUInt64LE(BigInt.asUintN(64, value), OFFSET[name]);
}

/** A copy with some registers changed. */
export function withRegs(regs: Buffer, changes: Partial<Record<UserReg, bigint>>): Buffer {
  const copy = Buffer.from(regs);
  for (const [name, value] of Object.entries(changes)) setReg(copy, name as UserReg, value);
  return copy;
}

/** General registers that mean nothing to the agent: 64-bit user segments, interrupts on. */
export const QUIET = { eflags: 0x202n, cs: 0x33n, ss: 0x2bn } as const;

/** Kernel-internal restart codes, include/linux/errno.h; a tracer sees them in rax (man 2 ptrace). */
const RESTART_CODES = new Set([512n, 513n, 514n, 516n]);

/**
 * Registers with which an interrupted system call is made again when they are loaded from outside the kernel's
 * restart path (a signal frame, a restored thread): rax = orig_rax and rip back over the two-byte instruction, as
 * arch_do_signal_or_restart(), arch/x86/kernel/signal.c, does. ERESTART_RESTARTBLOCK (a relative sleep or timeout)
 * is made again from its beginning: the remaining time is known to the kernel only.
 */
export function restartAdjusted(regs: Buffer): Buffer {
  const copy = Buffer.from(regs);
  const number = getReg(regs, 'orig_rax');
  const interrupted = number < 1n << 63n && RESTART_CODES.has(BigInt.asUintN(64, -getReg(regs, 'rax')));
  if (interrupted) {
    setReg(copy, 'rax', number);
    setReg(copy, 'rip', getReg(regs, 'rip') - 2n);
  }
  setReg(copy, 'orig_rax', -1n);
  return copy;
}

const ERESTART_RESTARTBLOCK = 516n;
const SYS_RESTART_SYSCALL = 219n;

/**
 * Registers with which a thread goes on with a call that has time left, as arch_do_signal_or_restart() makes them, but with
 * the address to go on at in rcx, which the call overwrites; undefined for a thread that is in no such call.
 */
export function restartingRegs(regs: Buffer): Buffer | undefined {
  if (getReg(regs, 'orig_rax') >= 1n << 63n || BigInt.asUintN(64, -getReg(regs, 'rax')) !== ERESTART_RESTARTBLOCK)
    return undefined;
  return withRegs(regs, { rax: SYS_RESTART_SYSCALL, rcx: getReg(regs, 'rip') - 2n });
}

/**
 * Calls that a mere stop ends with EINTR, with no signal to be handled (man 7 signal, "Interruption of system calls ...
 * by stop signals"): semop, rt_sigtimedwait, io_getevents, semtimedop, epoll_wait, epoll_pwait, epoll_pwait2; and of sockets with a
 * timeout (SO_RCVTIMEO, SO_SNDTIMEO; sock_intr_errno(), include/net/sock.h) read, write, readv, writev, accept, sendto, recvfrom, sendmsg,
 * recvmsg, accept4, recvmmsg, sendmmsg. They have no other effect when they fail so; connect has: it goes on in the background.
 */
const ENDED_BY_STOP = new Set([
  ...[65n, 128n, 208n, 220n, 232n, 281n, 441n],
  ...[0n, 1n, 19n, 20n, 43n, 44n, 45n, 46n, 47n, 288n, 299n, 307n],
]);
const EINTR = 4n;

/** Makes the call again that only the freeze has interrupted; `signalWaits` tells of a signal that is to be handled. */
export function undoStopInterruption(regs: Buffer, signalWaits: boolean): void {
  if (signalWaits || !ENDED_BY_STOP.has(getReg(regs, 'orig_rax')) || getReg(regs, 'rax') !== BigInt.asUintN(64, -EINTR))
    return;
  setReg(regs, 'rax', getReg(regs, 'orig_rax'));
  setReg(regs, 'rip', getReg(regs, 'rip') - 2n);
  setReg(regs, 'orig_rax', -1n);
}
