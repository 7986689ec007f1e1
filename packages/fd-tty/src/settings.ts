/** Settings of a terminal that the program alone had: set inside the task, in the order in which one does not forbid the next. */
import type { TtyInfoEntry } from '@crts/image-io';
import type { Arg, Program } from '@crts/plugin-api';
import { notSet } from './errors';
import { termiosBytes, winsizeBytes } from './termios';

const TCSETS = 0x5402;
const TIOCSLCKTRMIOS = 0x5457;
const TIOCSWINSZ = 0x5414;
const TIOCPKT = 0x5420;
const TIOCEXCL = 0x540c;

export function emitSettings(program: Program, fd: Arg, info: TtyInfoEntry): void {
  const path = `terminal ${info.id}`;
  const set = (request: number, name: string, value: Uint8Array | null, what: string) =>
    program.call('ioctl', [fd, request, value === null ? 0 : program.bytes(value)], {
      what,
      fail: (errno) => notSet(path, errno, name),
    });
  // Signals are blocked, so a job in the background may set the terminal too: man 3 termios, SIGTTOU.
  if (info.termios !== undefined) set(TCSETS, 'TCSETS', termiosBytes(info.termios), 'set the terminal as it was');
  const locked = info.termios_locked === undefined ? undefined : termiosBytes(info.termios_locked);
  if (locked?.some((byte) => byte !== 0) === true)
    set(TIOCSLCKTRMIOS, 'TIOCSLCKTRMIOS', locked, 'lock what was locked of its settings');
  if (info.winsize !== undefined)
    set(TIOCSWINSZ, 'TIOCSWINSZ', winsizeBytes(info.winsize), 'set the size of its window');
  if (info.packet_mode) set(TIOCPKT, 'TIOCPKT', Buffer.from([1, 0, 0, 0]), 'packet mode');
  if (info.exclusive) set(TIOCEXCL, 'TIOCEXCL', null, 'exclusive mode');
}
