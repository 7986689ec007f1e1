import type { FileLockEntry } from '@crts/image-io';

/** file_lock_entry.flag: facts of the format. */
export const LOCK_FLAG = { posix: 1, flock: 2, ofd: 4 } as const;
/** F_RDLCK and F_WRLCK, for all kinds. */
export const LOCK_TYPE = { READ: 0, WRITE: 1 } as const;

const KINDS: Readonly<Record<string, number>> = {
  POSIX: LOCK_FLAG.posix,
  FLOCK: LOCK_FLAG.flock,
  OFDLCK: LOCK_FLAG.ofd,
};
const LINE = /^lock:\s+\d+: (\S+)\s+\S+\s+(READ|WRITE) (-?\d+) \S+ (\d+) (\d+|EOF)$/gm;

/** Locks of one description as its fdinfo shows them: man 5 proc_pid_fdinfo, `lock:` lines. Leases are not among them. */
export function parseLocks(fdinfo: string, pid: number, fd: number): FileLockEntry[] {
  const locks: FileLockEntry[] = [];
  for (const [, kind, type, , start, end] of fdinfo.matchAll(LINE)) {
    const flag = KINDS[kind!];
    if (flag === undefined) continue;
    const from = BigInt(start!);
    locks.push({
      flag,
      type: LOCK_TYPE[type as 'READ' | 'WRITE'],
      pid,
      fd,
      start: from,
      len: end === 'EOF' ? 0n : BigInt(end!) - from + 1n,
    });
  }
  return locks;
}
