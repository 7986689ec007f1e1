/**
 * Which call a thread is in that a stop has interrupted twice. A call with time left (ERESTART_RESTARTBLOCK) is made again as
 * restart_syscall(2) after the first stop; at the second, its number is gone from the registers, its arguments are not.
 */
import { getReg, setReg } from './registers';

/** Bytes of the task's memory, undefined where there are none. */
export type ReadMemory = (address: bigint, length: number) => Buffer | undefined;

const SYS_RESTART_SYSCALL = 219n;
const ERESTART_RESTARTBLOCK = 516n;

const SYS_POLL = 7n;
const SYS_NANOSLEEP = 35n;
const SYS_FUTEX = 202n;
const SYS_CLOCK_NANOSLEEP = 230n;
/** All that set a restart block: users of set_restart_fn(), include/linux/restart_block.h. */
const CALLS = [SYS_POLL, SYS_NANOSLEEP, SYS_FUTEX, SYS_CLOCK_NANOSLEEP];

/** FUTEX_WAIT, FUTEX_WAIT_BITSET; FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME. */
const FUTEX_WAITS = new Set([0n, 9n, 128n, 137n, 265n, 393n]);
/** MAX_CLOCKS, include/uapi/linux/time.h. */
const CLOCKS_MAX = 16n;
const LOWEST_ADDRESS = 0x1_0000n;
const DESCRIPTORS_MAX = 0x10_0000n;

/**
 * Puts the call's own number back, so that it can be made anew in another life of the thread. Where it cannot be told, the
 * registers stay, and another life sees EINTR; this one goes on in either case, because the kernel asks for rax only.
 */
export function nameRestartedCall(regs: Buffer, read: ReadMemory): void {
  const isRestarted =
    getReg(regs, 'orig_rax') === SYS_RESTART_SYSCALL &&
    BigInt.asUintN(64, -getReg(regs, 'rax')) === ERESTART_RESTARTBLOCK;
  if (!isRestarted) return;
  const found = numberInCode(getReg(regs, 'rip'), read) ?? numberByArguments(regs, read);
  if (found !== undefined) setReg(regs, 'orig_rax', found);
}

/** `mov $number, %eax; syscall`, as most programs have it. */
function numberInCode(ip: bigint, read: ReadMemory): bigint | undefined {
  const code = read(ip - 7n, 7);
  if (code === undefined || code[0] !== 0xb8 || code[5] !== 0x0f || code[6] !== 0x05) return undefined;
  const number = BigInt(code.readUInt32LE(1));
  return CALLS.includes(number) ? number : undefined;
}

/** By what the arguments can be, the call that asks most of them first. */
function numberByArguments(regs: Buffer, read: ReadMemory): bigint | undefined {
  const [first, second, third, fourth] = (['rdi', 'rsi', 'rdx', 'r10'] as const).map((name) => getReg(regs, name)) as [
    bigint,
    bigint,
    bigint,
    bigint,
  ];
  if (BigInt.asUintN(32, first) < CLOCKS_MAX && second === 0n && isTime(third, read)) return SYS_CLOCK_NANOSLEEP;
  if (first >= LOWEST_ADDRESS && (first & 3n) === 0n && FUTEX_WAITS.has(second) && isTime(fourth, read))
    return SYS_FUTEX;
  const timeout = BigInt.asIntN(32, third);
  if (timeout > 0n && (first === 0n ? second === 0n : second > 0n && second < DESCRIPTORS_MAX)) return SYS_POLL;
  if ((second === 0n || second >= LOWEST_ADDRESS) && isTime(first, read)) return SYS_NANOSLEEP;
  return undefined;
}

/** Whether a timespec that a sleep takes lies there. */
function isTime(address: bigint, read: ReadMemory): boolean {
  if (address < LOWEST_ADDRESS) return false;
  const bytes = read(address, 16);
  return bytes !== undefined && bytes.readBigInt64LE(0) >= 0n && bytes.readBigUInt64LE(8) < 1_000_000_000n;
}
