import type { Arg, Program } from './program';

const F_SETFL = 4;
/** What F_SETFL sets (setfl(), fs/fcntl.c): O_APPEND O_NONBLOCK O_DIRECT O_NOATIME, and O_ASYNC where the kind knows it. */
const SETTABLE = 0o2000 | 0o4000 | 0o40000 | 0o1000000 | 0o20000;

/** Emits what gives a description that was made with the status flags `made` those that it had; nothing where they are. */
export function setStatusFlags(program: Program, fd: Arg, wanted: number, made: number): void {
  if (((wanted ^ made) & SETTABLE) !== 0)
    program.call('fcntl', [fd, F_SETFL, wanted & SETTABLE], { what: `set flags 0${wanted.toString(8)}` });
}
