/** Processes: pidfds, signals, CPU affinity. */
import { addon } from './addon';
import { SyscallError } from './errors';
import { keepReachable } from './memory';
import { rawSyscall, syscall } from './syscall';

/** A pidfd, close-on-exec; the caller closes it. pidfd_open(2). */
export function pidfdOpen(pid: number): number {
  return syscall('pidfd_open', pid, 0);
}

/** A duplicate of a task's descriptor, close-on-exec; the caller closes it. pidfd_getfd(2). */
export function pidfdGetfd(pidfd: number, fd: number): number {
  return syscall('pidfd_getfd', pidfd, fd, 0);
}

export function pidfdSendSignal(pidfd: number, signal: number): void {
  syscall('pidfd_send_signal', pidfd, signal, null, 0);
}

/** kcmp(2) with KCMP_FILE: 0 when both descriptors are one description, else an order. */
export function kcmpFile(pid1: number, pid2: number, fd1: number, fd2: number): number {
  return syscall('kcmp', pid1, pid2, 0, fd1, fd2);
}

/** Kinds of objects that tasks share: include/uapi/linux/kcmp.h. */
export const KCMP = { vm: 1, files: 2, fs: 3, sighand: 4 } as const;

/** kcmp(2): 0 when both tasks have the same object, 1 when the first's is less, 2 when it is greater. */
export function kcmp(pid1: number, pid2: number, type: number): number {
  return syscall('kcmp', pid1, pid2, type, 0, 0);
}

/** CPUs of a thread as the kernel's bit mask; pid 0 is the caller. */
export function getAffinity(pid: number): Buffer {
  affinity ??= Buffer.alloc(1024);
  return Buffer.from(affinity.subarray(0, syscall('sched_getaffinity', pid, affinity.length, affinity)));
}

let affinity: Buffer | undefined;

export function setAffinity(pid: number, mask: Buffer): void {
  syscall('sched_setaffinity', pid, mask.length, mask);
}

export interface SpawnRequest {
  readonly path: string;
  /** The one descriptor that the child keeps, under `doorbellNumber`; the number is its argv[1]. */
  readonly doorbell: number;
  readonly doorbellNumber: number;
  /** Pid that the child gets (clone3 set_tid), or 0. */
  readonly pid: number;
  /** CLONE_PARENT and namespace flags. */
  readonly flags: bigint;
}

export const CLONE_PARENT = 0x8000n;

/**
 * clone3 + exec. All signals are blocked in the child and have their default action.
 * @throws SyscallError naming clone3 (EEXIST: the pid is in use) or the call of the child that failed
 */
export function spawn(request: SpawnRequest): number {
  const native = addon();
  const strings = [request.path, String(request.doorbellNumber)].map((text) => Buffer.from(`${text}\0`));
  const argv = new BigUint64Array([...strings.map((bytes) => native.addressOf(bytes)), 0n]);
  const failure = new BigInt64Array(1);
  const result = native.spawn(
    strings[0]!,
    argv,
    request.doorbell,
    request.doorbellNumber,
    request.pid,
    request.flags,
    failure,
  );
  keepReachable(...strings);
  if (result < 0) {
    const call =
      failure[0] === 435n ? `clone3(set_tid=${request.pid})` : `system call ${failure[0]} of the new process`;
    throw new SyscallError(call, -result, undefined, request.path);
  }
  return result;
}

/** CPU that a thread ran on last: field `processor` of /proc/PID/stat is the caller's to read; this is our own. */
export function currentCpu(): number {
  const cpu = new Int32Array(1);
  return rawSyscall('getcpu', cpu, null, null) < 0 ? 0 : cpu[0]!;
}
