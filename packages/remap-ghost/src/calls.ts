/** System calls that node has no function for, with names as bytes. */
import { rawSyscall, SyscallError } from '@crts/native-syscalls';
import { encodeName } from '@crts/plugin-api';
import { AT_FDCWD, AT_SYMLINK_FOLLOW } from './constants';

export function cName(path: string): Buffer {
  return Buffer.concat([encodeName(path), Buffer.alloc(1)]);
}

/** @throws SyscallError */
export function callOn(path: string, name: string, ...args: Parameters<typeof rawSyscall>[1][]): number {
  const result = rawSyscall(name, ...args);
  if (result < 0) throw new SyscallError(name, -result, undefined, path);
  return result;
}

/** Gives the file of a descriptor, also an O_PATH one, a further name. */
export function linkFd(fd: number, to: string): void {
  callOn(to, 'linkat', AT_FDCWD, cName(`/proc/self/fd/${fd}`), AT_FDCWD, cName(to), AT_SYMLINK_FOLLOW);
}

/** errno by name of what node or a SyscallError threw. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof SyscallError) return error.errno;
  return (error as NodeJS.ErrnoException).code;
}

export function callOf(error: unknown): string {
  if (error instanceof SyscallError) return error.call ?? 'system call';
  return (error as NodeJS.ErrnoException).syscall ?? 'system call';
}
