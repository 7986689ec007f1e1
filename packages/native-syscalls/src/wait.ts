import { SyscallBatch } from './batch';
import { SyscallError } from './errors';
import { addressOf } from './memory';
import { rawSyscall } from './syscall';

/** include/uapi/linux/wait.h */
export const WNOHANG = 1;
const WALL = 0x40000000;
/** SIGTRAP with the bit that PTRACE_O_TRACESYSGOOD adds. */
const SIGTRAP_SYSCALL = 0x85;

/** wait4(2) for one pid; `status` is undefined when nothing happened yet (WNOHANG). EINTR is waited out. */
export function waitPid(pid: number, options = 0): { readonly pid: number; readonly status: number } | undefined {
  const status = new Int32Array(1);
  for (;;) {
    const result = rawSyscall('wait4', pid, status, options | WALL, null);
    if (result === -4) continue;
    if (result < 0) throw new SyscallError(`wait4(${pid})`, -result);
    return result === 0 ? undefined : { pid: result, status: status[0]! };
  }
}

/** Waits for each of them once, in one native call; their statuses. */
export function waitAll(pids: readonly number[]): Int32Array {
  const statuses = new Int32Array(pids.length);
  const base = Number(addressOf(new Uint8Array(statuses.buffer)));
  const batch = new SyscallBatch(pids.length);
  for (let index = 0; index < pids.length; index++) batch.add('wait4', pids[index]!, base + 4 * index, WALL);
  batch.run();
  // EINTR, and what is no child: asked again by itself, which says so.
  for (let index = 0; index < pids.length; index++)
    if (batch.result(index) < 0) statuses[index] = waitPid(pids[index]!)!.status;
  return statuses;
}

export const waitStatus = {
  stopped: (status: number): boolean => (status & 0xff) === 0x7f,
  stopSignal: (status: number): number => (status >> 8) & 0xff,
  event: (status: number): number => status >>> 16,
  /** The signal that a stop for its delivery holds (man 2 ptrace, signal-delivery-stop), 0 for any other stop. */
  heldSignal: (status: number): number => {
    const signal = (status >> 8) & 0xff;
    return status >>> 16 === 0 && signal !== SIGTRAP_SYSCALL ? signal : 0;
  },
  exited: (status: number): boolean => (status & 0x7f) === 0,
  exitCode: (status: number): number => (status >> 8) & 0xff,
  termSignal: (status: number): number => status & 0x7f,
};
