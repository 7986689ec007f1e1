/** Kinds of terminals, by device number: Documentation/admin-guide/devices.txt. */

/** tty_info_entry.type: facts of the format. */
export const TTY_TYPE = { pty: 1, controlling: 4, external: 5 } as const;

/** Majors of the slave sides of pseudo terminals. */
const PTS_MAJOR_FIRST = 136n;
const PTS_MAJOR_LAST = 143n;
/** /dev/tty: the controlling terminal of whoever opens it. */
const CONTROLLING_RDEV = 0x500n;
/** The format's number for it. */
const CONTROLLING_INDEX = 1006;
/** The first and the last number of terminals that are left outside: each description has its own. */
export const EXTERNAL_INDEX_FIRST = 1013;
export const EXTERNAL_INDEX_LAST = 1076;
/** Pseudo terminals that the format has numbers for. */
export const PTY_INDEX_MAX = 1000;

export interface Terminal {
  readonly type: number;
  /** N of /dev/pts/N; a number of the format for other kinds. */
  readonly index: number;
}

/** The slave side of a pseudo terminal, which open(2) of /proc/self/fd/N opens once more; a master would be a new one. */
export function isSlave(rdev: bigint): boolean {
  const major = (rdev >> 8n) & 0xfffn;
  return major >= PTS_MAJOR_FIRST && major <= PTS_MAJOR_LAST;
}

export function terminalOf(rdev: bigint): Terminal | undefined {
  if (rdev === CONTROLLING_RDEV) return { type: TTY_TYPE.controlling, index: CONTROLLING_INDEX };
  if (!isSlave(rdev)) return undefined;
  return { type: TTY_TYPE.pty, index: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n)) };
}

/** tty_info_entry.id: twice the index, plus one for the master side. */
export function infoId({ index }: Terminal): number {
  return index * 2;
}
