import type { FdHandler } from '@crts/plugin-api';
import { dumpTerminal } from './dump';
import { externalId } from './external';
import { terminalOf } from './kinds';
import { collectTerminal, planTerminal } from './restore';

const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;
const O_PATH = 0o10000000;

export const terminalHandler: FdHandler = {
  name: 'fd-tty',
  external: ['tty'],

  match(fd, options) {
    // A path (O_PATH) to a terminal answers no request of terminals: it is left to whoever carries paths.
    if ((fd.mode & S_IFMT) !== S_IFCHR || (fd.flags & O_PATH) !== 0) return 0;
    if (options?.external?.has('tty', externalId(fd)) === true) return 30;
    return terminalOf(fd.rdev) === undefined ? 0 : 20;
  },

  dump: dumpTerminal,
  owns: (record) => record.field === 'tty',
  collect: collectTerminal,
  plan: planTerminal,
};
