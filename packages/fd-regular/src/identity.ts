/** Whether a name leads to the file that a description has open. */
import { type BigIntStats, lstatSync, statSync } from 'node:fs';
import { encodeName, type FdFacts } from '@crts/plugin-api';
import { nameless, replaced, type Subject, unlinked, unreachable } from './errors';
import { S_IFLNK, S_IFMT } from './open-flags';

/** What d_path() appends to the name of a dentry that is no longer hashed: prepend_path(), fs/d_path.c. */
const DELETED = ' (deleted)';

/**
 * The name that opens the file again.
 * @throws CrtsError where no name does: deleted, replaced, out of sight
 */
export function reachableName(fd: FdFacts): string {
  const subject = { pid: fd.pid, fd: fd.fd < 0 ? undefined : fd.fd, path: fd.link };
  if (fd.deleted || fd.nlink === 0n) throw unlinked({ ...subject, path: withoutSuffix(fd.link) });
  const named = statName(fd.link, fd.mode);
  if (isStats(named)) {
    if (named.dev === fd.dev && named.ino === fd.ino) return fd.link;
    if (!fd.link.endsWith(DELETED)) throw replaced(subject);
  }
  if (fd.link.endsWith(DELETED)) return formerName(fd, subject);
  throw unreachable(subject, isStats(named) ? undefined : named);
}

/** The name was removed while the file has others. If it was put back since, it is good: the old dentry says "deleted" for ever. */
function formerName(fd: FdFacts, subject: Subject): string {
  const name = withoutSuffix(fd.link);
  const named = statName(name, fd.mode);
  if (isStats(named) && named.dev === fd.dev && named.ino === fd.ino) return name;
  throw nameless({ ...subject, path: name });
}

function withoutSuffix(link: string): string {
  return link.endsWith(DELETED) ? link.slice(0, -DELETED.length) : link;
}

/** Status of what `path` names, or the errno. A symbolic link that is open itself (O_PATH | O_NOFOLLOW) is not followed. */
export function statName(path: string, mode: number): BigIntStats | string {
  try {
    return ((mode & S_IFMT) === S_IFLNK ? lstatSync : statSync)(encodeName(path), { bigint: true });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'EIO';
  }
}

export function isStats(found: BigIntStats | string): found is BigIntStats {
  return typeof found !== 'string';
}
