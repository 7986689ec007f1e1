/** Locks as fdinfo shows them: man 5 proc_pid_fdinfo, lines `lock:`; lock_get_status(), fs/locks.c. */

/** file_lock_entry.flag: facts of the format. */
export const LOCK_FLAG = { posix: 1, flock: 2, ofd: 4, lease: 8 } as const;
/** F_RDLCK and F_WRLCK, for all kinds, and F_UNLCK for what becomes of a lease. */
export const LOCK_TYPE = { READ: 0, WRITE: 1, UNLCK: 2 } as const;
/** In the type of a lease that somebody waits for the end of; the rest of it is what it is to become. A fact of the format. */
export const LEASE_BREAKING = 4;

export interface HeldLock {
  readonly flag: number;
  readonly type: number;
  /** Process that took it, as the reader of fdinfo sees it; -1 where that does not count (open file description locks). */
  readonly taker: number;
  readonly start: bigint;
  /** Bytes; 0 is up to the end of the file, wherever that will be. */
  readonly len: bigint;
}

export interface FdinfoLocks {
  readonly locks: readonly HeldLock[];
  /** The first line that is none of the known kinds. */
  readonly unknown: string | undefined;
}

const KINDS: Readonly<Record<string, number>> = {
  POSIX: LOCK_FLAG.posix,
  FLOCK: LOCK_FLAG.flock,
  OFDLCK: LOCK_FLAG.ofd,
  LEASE: LOCK_FLAG.lease,
};
const LINE =
  /^(?:(POSIX|FLOCK|OFDLCK)\s+\S+|(LEASE)\s+(?:ACTIVE|(BREAKING)))\s+(READ|WRITE|UNLCK) (-?\d+) \S+ (\d+) (\d+|EOF)$/;

const NONE: FdinfoLocks = { locks: [], unknown: undefined };

export function parseLocks(fdinfo: string): FdinfoLocks {
  if (!fdinfo.includes('lock:')) return NONE;
  const locks: HeldLock[] = [];
  let unknown: string | undefined;
  for (const [, text] of fdinfo.matchAll(/^lock:[ \t]*(?:\d+: )?(.*)$/gm)) {
    const [, lock, lease, breaking, type, taker, start, end] = LINE.exec(text!) ?? [];
    const kind = lock ?? lease;
    // A lease that is broken is told with what it is to become (target_leasetype(), fs/locks.c): not a write lease, or none at all.
    const isOdd = breaking === undefined ? type === 'UNLCK' : type === 'WRITE';
    if (kind === undefined || isOdd) {
      unknown ??= text!.replace(/\s+/g, ' ');
      continue;
    }
    const from = BigInt(start!);
    locks.push({
      flag: KINDS[kind]!,
      type: LOCK_TYPE[type as keyof typeof LOCK_TYPE] | (breaking === undefined ? 0 : LEASE_BREAKING),
      taker: Number(taker),
      start: from,
      len: end === 'EOF' ? 0n : BigInt(end!) - from + 1n,
    });
  }
  return { locks, unknown };
}
