/** Pipes that a dump left outside (--external), by the descriptor that a restore is handed for them (--inherit-fd). */
import { closeFd, cPath, errnoName, rawSyscall } from '@crts/native-syscalls';
import { type Arg, type LateFd, type Program, setStatusFlags } from '@crts/plugin-api';
import { NOT_PASSED, O_CLOEXEC, O_NONBLOCK } from './constants';
import { notReopened } from './errors';

const AT_FDCWD = -100;

/** As `--external` and `--inherit-fd` name a pipe. */
export function inheritKey(pipeId: number): string {
  return `pipe:[${pipeId}]`;
}

/** A description of its own with the flags that the program's had; the caller's stays as it is. */
export function openInherited(program: Program, source: number, pipeId: number, flags: number): Arg {
  // What is handed over may be a FIFO, whose other end opens when it likes.
  const made = (flags & ~NOT_PASSED) | O_NONBLOCK;
  const fd = program.receiveFd(reopened(source, pipeId, made), {
    what: `open ${inheritKey(pipeId)} again, by descriptor ${source} of the caller`,
  });
  setStatusFlags(program, fd, flags, made);
  return fd;
}

function reopened(source: number, pipeId: number, flags: number): LateFd {
  let local = -1;
  return {
    take() {
      if (local >= 0) return local;
      local = rawSyscall('openat', AT_FDCWD, cPath(`/proc/self/fd/${source}`), flags | O_CLOEXEC, 0);
      if (local < 0) throw notReopened(pipeId, source, errnoName(-local));
      return local;
    },
    sent() {
      closeFd(local);
      local = -1;
    },
  };
}
