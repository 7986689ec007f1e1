import { type BigIntStats, lstatSync, statSync } from 'node:fs';
import { encodeName } from '@crts/plugin-api';
import { S_IFLNK, S_IFMT } from './open-flags';

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
