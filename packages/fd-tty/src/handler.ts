import type { FdHandler } from '@crts/plugin-api';
import { dumpTerminal } from './dump';
import { terminalOf } from './kinds';
import { collectTerminal, planTerminal } from './restore';

const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;
const O_PATH = 0o10000000;

export const terminalHandler: FdHandler = {
  name: 'fd-tty',
  // A path (O_PATH) to a terminal answers no request of terminals: it is left to whoever carries paths.
  match: (fd) =>
    (fd.mode & S_IFMT) === S_IFCHR && (fd.flags & O_PATH) === 0 && terminalOf(fd.rdev) !== undefined ? 20 : 0,
  dump: dumpTerminal,
  owns: (record) => record.field === 'tty',
  collect: collectTerminal,
  plan: planTerminal,
};
