import { fstatSync } from 'node:fs';
import type { RegFileEntry, TermiosEntry, TtyFileEntry, TtyInfoEntry } from '@crts/image-io';
import type { FdDumpContext, FdFacts, FileRecord, TreeImages } from '@crts/plugin-api';
import { externalTerminal, hungUp, leaderOfTerminal, severalTerminals, tooManyExternal } from './errors';
import { externalId } from './external';
import {
  EXTERNAL_INDEX_FIRST,
  EXTERNAL_INDEX_LAST,
  infoId,
  isSlave,
  type Terminal,
  TTY_TYPE,
  terminalOf,
} from './kinds';
import { isExclusive, isInPacketMode, nothingLocked, readLockedTermios, readTermios, readWinsize } from './termios';

/** REG and TTY of fd_types. */
const FD_TYPE_REG = 1;
const FD_TYPE_TTY = 11;
const O_CLOEXEC = 0o2000000;

/** Descriptions left outside so far, for each dump. */
const externals = new WeakMap<TreeImages, number>();

export function dumpTerminal(fd: FdFacts, context: FdDumpContext): FileRecord {
  const { task } = context;
  if (context.options.external?.has('tty', externalId(fd)) === true) return dumpExternal(fd, context);
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

/** What the caller of the restore hands back needs no name. One that is hung up is replaced by one that is not. */
function dumpExternal(fd: FdFacts, context: FdDumpContext): FileRecord {
  const { tree, facts, images } = context.task;
  const index = externals.get(tree) ?? EXTERNAL_INDEX_FIRST;
  if (index > EXTERNAL_INDEX_LAST)
    throw tooManyExternal({ pid: fd.pid, fd: fd.fd, path: fd.link }, EXTERNAL_INDEX_LAST - EXTERNAL_INDEX_FIRST + 1);
  externals.set(tree, index + 1);
  const terminal = { type: TTY_TYPE.external, index };
  const controlling = isSlave(fd.rdev) && facts.stat.tty_nr === String(fd.rdev);
  const info = infoOf(fd, terminal, readTermios(fd.local), controlling, context);
  (images.ttys as TtyInfoEntry[]).push(info);
  const value: TtyFileEntry = {
    id: context.id,
    tty_info_id: info.id,
    flags: fd.flags & ~O_CLOEXEC,
    fown: context.fown as TtyFileEntry['fown'],
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
  termios: TermiosEntry | undefined,
  controlling: boolean,
  { task, log }: FdDumpContext,
): TtyInfoEntry {
  const { stat } = task.facts;
  const exclusive = isExclusive(fd.local);
  const isExternal = terminal.type === TTY_TYPE.external;
  if (exclusive && !isExternal)
    log.warn({ pid: fd.pid, fd: fd.fd }, 'the terminal is in exclusive mode (TIOCEXCL): that mode is not set again');
  // CRIU gives the terminal of the restore this owner: it must be the true one.
  const { uid, gid } = fstatSync(fd.local);
  return {
    id: infoId(terminal),
    type: terminal.type,
    locked: false,
    exclusive,
    packet_mode: isExternal && isInPacketMode(fd.local),
    sid: controlling ? Number(stat.session) : 0,
    pgrp: controlling ? Math.max(0, Number(stat.tpgid)) : 0,
    rdev: Number(fd.rdev),
    ...(termios === undefined
      ? {}
      : {
          termios,
          termios_locked: readLockedTermios(fd.local) ?? nothingLocked(),
          winsize: readWinsize(fd.local),
        }),
    ...(terminal.type === TTY_TYPE.pty ? { pty: { index: terminal.index } } : {}),
    dev: Number(fd.dev),
    uid,
    gid,
  };
}
