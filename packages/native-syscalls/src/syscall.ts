import { encodeName } from '@crts/plugin-api';
import { addon, type Word } from './addon';
import { SyscallError } from './errors';
import { syscallNumber } from './syscall-numbers';

/** The kernel's answer, negative errno included. EINTR is answered like any other errno. */
export function rawSyscall(name: string, ...args: Word[]): number {
  return Number(addon().syscall(syscallNumber(name), ...args));
}

/** A system call that must succeed. Throws SyscallError with the arguments that matter. */
export function syscall(name: string, ...args: Word[]): number {
  const result = rawSyscall(name, ...args);
  if (result < 0 && result > -4096) throw new SyscallError(showCall(name, args), -result);
  return result;
}

/** The same, with a path in the error. */
export function syscallOn(path: string, name: string, ...args: Word[]): number {
  const result = rawSyscall(name, ...args);
  if (result < 0) throw new SyscallError(showCall(name, args), -result, undefined, path);
  return result;
}

function showCall(name: string, args: readonly Word[]): string {
  const shown = args.map((arg) => {
    if (arg === null) return 'NULL';
    if (typeof arg === 'number' || typeof arg === 'bigint') return arg > 4096 ? `0x${arg.toString(16)}` : `${arg}`;
    return '...';
  });
  return `${name}(${shown.join(', ')})`;
}

/** NUL-terminated bytes of a name. */
export function cPath(path: string): Buffer {
  return encodeName(`${path}\0`);
}
