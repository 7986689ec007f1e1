import { SYSCALL_NUMBERS } from './arch/x86_64/syscall-numbers';

/** Number of a system call by its kernel name. Throws on an unknown name: a mistake of the caller. */
export function syscallNumber(name: string): number {
  const nr = SYSCALL_NUMBERS[name];
  if (nr === undefined) throw new RangeError(`no system call is named ${name}`);
  return nr;
}
