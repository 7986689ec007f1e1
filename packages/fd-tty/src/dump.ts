import { fstatSync } from 'node:fs';
import type { RegFileEntry, TermiosEntry, TtyFileEntry, TtyInfoEntry } from '@crts/image-io';
import type { FdDumpContext, FdFacts, FileRecord } from '@crts/plugin-api';
import { externalTerminal, hungUp, leaderOfTerminal, severalTerminals } from './errors';
import { infoId, type Terminal, TTY_TYPE, terminalOf } from './kinds';
import { isExclusive, readLockedTermios, readTermios, readWinsize } from './termios';

/** REG and TTY of fd_types. */
const FD_TYPE_REG = 1;
const FD_TYPE_TTY = 11;
const O_CLOEXEC = 0o2000000;

export function dumpTerminal(fd: FdFacts, context: FdDumpContext): FileRecord {
  const { task } = context;
  const subject = { pid: fd.pid, fd: fd.fd, path: fd.link };
  if (!context.options.shellJob) throw externalTerminal(subject);
  const terminal = terminalOf(fd.rdev)!;
  const termios = readTermios(fd.local);
  if (termios === undefined) throw hungUp(subject);
  // A leader's new session has no terminal, and taking that of the restore (TIOCSCTTY) would rob the shell there.
  const controlling = terminal.type === TTY_TYPE.controlling || task.facts.stat.tty_nr === String(fd.rdev);
  if (controlling && task.facts.stat.session === String(task.pid)) throw leaderOfTerminal(subject);
  const id = infoId(terminal);
  const known = task.images.ttys as TtyInfoEntry[];
  if (!known.some((info) => info.id === id)) {
    if (terminal.type === TTY_TYPE.pty && known.some((info) => info.type === TTY_TYPE.pty))
      throw severalTerminals(subject);
    known.push(infoOf(fd, terminal, termios, controlling, context));
  }
  const value: TtyFileEntry = {
    id: context.id,
    tty_info_id: id,
    flags: fd.flags & ~O_CLOEXEC,
    fown: context.fown as TtyFileEntry['fown'],
    // CRIU wants the device's name as an entry of its own.
    regf_id: context.addRecord((regId) => nameRecord(fd, regId, context)),
  };
  return { type: FD_TYPE_TTY, field: 'tty', value };
}

function nameRecord(fd: FdFacts, id: number, context: FdDumpContext): FileRecord {
  const value: RegFileEntry = {
    id,
    flags: fd.flags & ~O_CLOEXEC,
    pos: 0n,
    fown: context.fown as RegFileEntry['fown'],
    name: fd.link,
    mode: fd.mode,
    build_id: [],
  };
  return { type: FD_TYPE_REG, field: 'reg', value };
}

function infoOf(
  fd: FdFacts,
  terminal: Terminal,
  termios: TermiosEntry,
  controlling: boolean,
  { task, log }: FdDumpContext,
): TtyInfoEntry {
  const { stat } = task.facts;
  const exclusive = isExclusive(fd.local);
  if (exclusive)
    log.warn({ pid: fd.pid, fd: fd.fd }, 'the terminal is in exclusive mode (TIOCEXCL): that mode is not set again');
  const none = { ...termios, c_iflag: 0, c_oflag: 0, c_cflag: 0, c_lflag: 0, c_line: 0 };
  // CRIU gives the terminal of the restore this owner: it must be the true one.
  const { uid, gid } = fstatSync(fd.local);
  return {
    id: infoId(terminal),
    type: terminal.type,
    locked: false,
    exclusive,
    packet_mode: false,
    sid: controlling ? Number(stat.session) : 0,
    pgrp: controlling ? Math.max(0, Number(stat.tpgid)) : 0,
    rdev: Number(fd.rdev),
    termios,
    termios_locked: readLockedTermios(fd.local) ?? { ...none, c_cc: none.c_cc.map(() => 0) },
    winsize: readWinsize(fd.local),
    ...(terminal.type === TTY_TYPE.pty ? { pty: { index: terminal.index } } : {}),
    dev: Number(fd.dev),
    uid,
    gid,
  };
}
