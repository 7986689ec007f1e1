/** Terminals that a dump left outside (--external), by the descriptors that a restore is handed for them (--inherit-fd). */
import { fstatSync } from 'node:fs';
import type { TtyInfoEntry } from '@crts/image-io';
import { closeFd, cPath, isTerminal, rawSyscall } from '@crts/native-syscalls';
import { type Arg, type LateFd, type Program, type RunOptions, setStatusFlags } from '@crts/plugin-api';
import { notHandedBack, notTerminal } from './errors';
import { isSlave } from './kinds';
import { emitSettings } from './settings';

const AT_FDCWD = -100;
const O_CLOEXEC = 0o2000000;
const O_NOCTTY = 0o400;
/** Access mode, O_APPEND, O_NONBLOCK and O_LARGEFILE: what a terminal's descriptor can have. */
const KEPT_FLAGS = 0o3 | 0o2000 | 0o4000 | 0o100000;

/** As `--external` names a terminal: device number of the terminal, and of the file system that its node is on. */
export function externalId({ rdev, dev }: { readonly rdev: bigint; readonly dev: bigint }): string {
  return `${rdev.toString(16)}:${dev.toString(16)}`;
}

/** As `--inherit-fd` does. */
export function externalKey({ rdev, dev }: TtyInfoEntry): string {
  return `tty[${externalId({ rdev: BigInt(rdev), dev: BigInt(dev ?? 0) })}]`;
}

/** The descriptor of crts that is handed back; undefined where none is and none has to be. */
export function handedBack(info: TtyInfoEntry, isExternal: boolean, options: RunOptions): number | undefined {
  const key = externalKey(info);
  const fd = options.inherit?.fdFor(key);
  if (fd === undefined && isExternal) throw notHandedBack(key);
  if (fd !== undefined && !isTerminal(fd)) throw notTerminal(key, fd);
  return fd;
}

/** A slave side is opened once more, so that the description is the program's own; a master side is taken as it is. */
export function openExternal(program: Program, info: TtyInfoEntry, source: number, flags: number): Arg {
  const made = (flags & KEPT_FLAGS) | O_NOCTTY;
  const key = externalKey(info);
  const fd = program.receiveFd(isSlave(fstatSync(source, { bigint: true }).rdev) ? reopened(source, made) : source, {
    what: `take ${key}, by descriptor ${source} of the caller`,
  });
  setStatusFlags(program, fd, flags & KEPT_FLAGS, -1);
  emitSettings(program, fd, info);
  return fd;
}

/** Where it cannot be opened (its master is closed, or has not unlocked it) the caller's own description is taken. */
function reopened(source: number, flags: number): LateFd {
  let own = -1;
  return {
    take() {
      if (own < 0) own = rawSyscall('openat', AT_FDCWD, cPath(`/proc/self/fd/${source}`), flags | O_CLOEXEC, 0);
      return own < 0 ? source : own;
    },
    sent() {
      if (own >= 0) closeFd(own);
      own = -1;
    },
  };
}
