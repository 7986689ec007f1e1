import { openSync } from 'node:fs';
import { isatty } from 'node:tty';
import type { RegFileEntry, TtyFileEntry, TtyInfoEntry } from '@crts/image-io';
import type { Arg, FdDumpContext, FdFacts, FdHandler, FdPlanContext, FileRecord, Program } from '@crts/plugin-api';
import { externalTerminal, needsShellJob, noTerminal } from './errors';
import { isExclusive, readTermios, readWinsize, termiosBytes } from './termios';

/** Majors of the slave sides of pseudo terminals: Documentation/admin-guide/devices.txt. */
const PTS_MAJOR_FIRST = 136n;
const PTS_MAJOR_LAST = 143n;
/** REG and TTY of fd_types, and PTY of tty_type. */
const FD_TYPE_REG = 1;
const FD_TYPE_TTY = 11;
const TTY_TYPE_PTY = 1;
const TCSETS = 0x5402;
const O_NOCTTY = 0o400;
/** Access mode, O_APPEND and O_NONBLOCK: what a terminal's descriptor can have. */
const KEPT_FLAGS = 0o3 | 0o2000 | 0o4000;

export const terminalHandler: FdHandler = {
  name: 'fd-tty',

  match(fd: FdFacts): number {
    const major = (fd.rdev >> 8n) & 0xfffn;
    return major >= PTS_MAJOR_FIRST && major <= PTS_MAJOR_LAST ? 20 : 0;
  },

  dump(fd: FdFacts, context: FdDumpContext): FileRecord {
    if (!context.options.shellJob) throw externalTerminal(fd.pid, fd.fd, fd.link);
    const { task } = context;
    const index = Number((fd.rdev & 0xffn) | ((fd.rdev >> 12n) & ~0xffn));
    if (!task.images.ttys.some((info) => info.id === index)) task.images.ttys.push(infoOf(fd, index, context));
    const value: TtyFileEntry = {
      id: context.id,
      tty_info_id: index,
      flags: fd.flags & KEPT_FLAGS,
      fown: context.fown as TtyFileEntry['fown'],
      // CRIU wants the device's name as an entry of its own.
      regf_id: context.addRecord((id) => nameRecord(fd, id, context)),
    };
    return { type: FD_TYPE_TTY, field: 'tty', value };
  },

  owns: (record) => record.field === 'tty',

  collect(_record: FileRecord, context: FdPlanContext): void {
    if (!context.options.shellJob) throw needsShellJob();
    if (ownTerminal() === undefined) throw noTerminal();
  },

  plan(record: FileRecord, program: Program, context: FdPlanContext): Arg {
    const entry = record.value as TtyFileEntry;
    const terminal = ownTerminal();
    if (terminal === undefined) throw noTerminal();
    // Opened anew, so that the program's flags are its own; the engine's end goes when crts ends.
    const fd = program.receiveFd(openSync(`/proc/self/fd/${terminal}`, (entry.flags & KEPT_FLAGS) | O_NOCTTY), {
      what: 'take the terminal of the restore',
    });
    const info = context.ttys.find((candidate) => candidate.id === entry.tty_info_id) as TtyInfoEntry | undefined;
    // Signals are blocked, so a job in the background may set the terminal too: man 3 termios, SIGTTOU.
    if (info?.termios !== undefined)
      program.call('ioctl', [fd, TCSETS, program.bytes(termiosBytes(info.termios))], {
        what: 'set the terminal as it was',
      });
    return fd;
  },
};

function nameRecord(fd: FdFacts, id: number, context: FdDumpContext): FileRecord {
  const value: RegFileEntry = {
    id,
    flags: fd.flags & KEPT_FLAGS,
    pos: 0n,
    fown: context.fown as RegFileEntry['fown'],
    name: fd.link,
    mode: fd.mode,
    build_id: [],
  };
  return { type: FD_TYPE_REG, field: 'reg', value };
}

function infoOf(fd: FdFacts, index: number, { task }: FdDumpContext): TtyInfoEntry {
  const termios = readTermios(fd.local);
  return {
    id: index,
    type: TTY_TYPE_PTY,
    locked: false,
    exclusive: isExclusive(fd.local),
    packet_mode: false,
    sid: Number(task.facts.stat.session),
    pgrp: Math.max(0, Number(task.facts.stat.tpgid)),
    rdev: Number(fd.rdev),
    ...(termios === undefined
      ? {}
      : {
          termios,
          termios_locked: {
            ...termios,
            c_iflag: 0,
            c_oflag: 0,
            c_cflag: 0,
            c_lflag: 0,
            c_line: 0,
            c_cc: termios.c_cc.map(() => 0),
          },
        }),
    winsize: readWinsize(fd.local),
    pty: { index },
    dev: Number(fd.dev),
    uid: 0,
    gid: 0,
  };
}

/** The standard descriptor of crts that is a terminal. */
function ownTerminal(): number | undefined {
  return [0, 1, 2].find((fd) => isatty(fd));
}
