/**
 * Threads that wait in vfork(2), or in clone(2) with CLONE_VFORK, until the child has memory of its own or has ended. Only a
 * fatal signal ends that wait: wait_for_vfork_done(), kernel/fork.c.
 */
import { readFileSync } from 'node:fs';
import { KCMP, kcmp } from '@crts/native-syscalls';

/** Numbers of the calls, x86-64. */
const CLONE = 56;
const VFORK = 58;
const CLONE3 = 435;
const CLONE_VFORK = 0x4000n;

export interface VforkWait {
  readonly pid: number;
  readonly tid: number;
  readonly child: number;
}

/** What a thread that does not stop waits for, if it is that. */
export function vforkWait(tid: number): VforkWait | undefined {
  try {
    const read = (file: string) => readFileSync(`/proc/${tid}/${file}`, 'latin1');
    if (!mayWait(read('syscall'))) return undefined;
    const pid = Number(/^Tgid:\s*(\d+)/m.exec(read('status'))![1]);
    const children = read(`task/${tid}/children`).trim().split(' ').filter(Boolean).map(Number);
    const child = children.find((one) => kcmp(tid, one, KCMP.vm) === 0);
    return child === undefined ? undefined : { pid, tid, child };
  } catch {
    // It has ended, or goes on.
    return undefined;
  }
}

/** `text`: number and arguments of the call that a thread is in, man 5 proc_pid_syscall. clone3 has its flags in memory. */
export function mayWait(text: string): boolean {
  const [nr, flags = '0'] = text.split(' ');
  const isPlain = Number(nr) === VFORK || Number(nr) === CLONE3;
  return isPlain || (Number(nr) === CLONE && (BigInt(flags) & CLONE_VFORK) !== 0n);
}
