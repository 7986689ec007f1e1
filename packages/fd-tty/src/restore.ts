import { closeSync, openSync } from 'node:fs';
import type { TermiosEntry, TtyFileEntry, TtyInfoEntry } from '@crts/image-io';
import { isTerminal } from '@crts/native-syscalls';
import type { Arg, FdPlanContext, FileRecord, Program } from '@crts/plugin-api';
import { badTerminal, hungUp, needsShellJob, noTerminal, notSet, otherKind, severalTerminals } from './errors';
import { handedBack, openExternal } from './external';
import { PTY_INDEX_MAX, TTY_TYPE } from './kinds';
import { CHARACTER_COUNT, termiosBytes } from './termios';

const TCSETS = 0x5402;
const AT_FDCWD = -100;
const O_NOCTTY = 0o400;
/** Access mode, O_APPEND, O_NONBLOCK and O_LARGEFILE: what a terminal's descriptor can have. */
const KEPT_FLAGS = 0o3 | 0o2000 | 0o4000 | 0o100000;
const TERMINAL = '/dev/tty';
const INFO_IMAGE = 'tty-info.img';
const BYTE_MAX = 0xff;

/** Checks the images and that there is a terminal to give, before anything is made. */
export function collectTerminal(record: FileRecord, context: FdPlanContext): void {
  const info = checkedInfo(record.value as TtyFileEntry, context);
  if (handedBack(info, info.type === TTY_TYPE.external, context.options) !== undefined) return;
  if (!context.options.shellJob) throw needsShellJob();
  if (info.type === TTY_TYPE.controlling ? !hasControllingTerminal() : ownTerminal() === undefined) throw noTerminal();
}

export function planTerminal(record: FileRecord, program: Program, context: FdPlanContext): Arg {
  const entry = record.value as TtyFileEntry;
  const info = checkedInfo(entry, context);
  const source = handedBack(info, info.type === TTY_TYPE.external, context.options);
  if (source !== undefined) return openExternal(program, info, source, entry.flags);
  const flags = (entry.flags & KEPT_FLAGS) | O_NOCTTY;
  const fd = info.type === TTY_TYPE.controlling ? openControlling(program, flags) : receiveTerminal(program, flags);
  // Signals are blocked, so a job in the background may set the terminal too: man 3 termios, SIGTTOU.
  program.call('ioctl', [fd, TCSETS, program.bytes(termiosBytes(info.termios!))], {
    what: 'set the terminal as it was',
    fail: (errno) => notSet(TERMINAL, errno),
  });
  return fd;
}

/** The task is in the session of crts, and so has its controlling terminal. */
function openControlling(program: Program, flags: number): Arg {
  return program.call('openat', [AT_FDCWD, program.cstring(TERMINAL), flags, 0], {
    what: 'open the controlling terminal',
    fail: () => noTerminal(),
  });
}

/** Opened anew, so that the program's flags are its own; the engine's end goes when crts ends. */
function receiveTerminal(program: Program, flags: number): Arg {
  const terminal = ownTerminal();
  if (terminal === undefined) throw noTerminal();
  return program.receiveFd(openSync(`/proc/self/fd/${terminal}`, flags), { what: 'take the terminal of the restore' });
}

function checkedInfo(entry: TtyFileEntry, context: FdPlanContext): TtyInfoEntry {
  const infos = context.ttys as unknown as TtyInfoEntry[];
  const info = infos.find((candidate) => candidate.id === entry.tty_info_id);
  if (info === undefined) throw badTerminal('files.img', entry.id, `there is no tty_info_entry ${entry.tty_info_id}`);
  checkTermios(info, info.termios);
  checkTermios(info, info.termios_locked);
  // Whatever it was: what is handed back stands for it.
  if (handedBack(info, info.type === TTY_TYPE.external, context.options) !== undefined) return info;
  if (info.type !== TTY_TYPE.pty && info.type !== TTY_TYPE.controlling) throw otherKind(info.type);
  if (info.type === TTY_TYPE.pty) {
    const index = info.pty?.index;
    if (index === undefined || index > PTY_INDEX_MAX) throw badTerminal(INFO_IMAGE, info.id, `index ${index}`);
    // An odd id is a master side: the program itself was the terminal.
    if (info.id % 2 === 1) throw otherKind(info.type);
    if (infos.some((other) => other.type === TTY_TYPE.pty && other.id !== info.id)) throw severalTerminals({});
  }
  if (info.termios === undefined) throw hungUp({ path: INFO_IMAGE });
  return info;
}

function checkTermios(info: TtyInfoEntry, termios: TermiosEntry | undefined): void {
  if (termios === undefined) return;
  if (termios.c_cc.length < CHARACTER_COUNT) throw badTerminal(INFO_IMAGE, info.id, 'too few control characters');
  if (termios.c_line > BYTE_MAX) throw badTerminal(INFO_IMAGE, info.id, `line discipline ${termios.c_line}`);
}

/** The standard descriptor of crts that is a terminal. */
function ownTerminal(): number | undefined {
  return [0, 1, 2].find((fd) => isTerminal(fd));
}

function hasControllingTerminal(): boolean {
  try {
    closeSync(openSync(TERMINAL, O_NOCTTY));
    return true;
  } catch {
    return false;
  }
}
