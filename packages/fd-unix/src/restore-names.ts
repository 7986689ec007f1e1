/** What lies under the names of the images before a restore: looked at once, before anything is made. */
import { type BigIntStats, lstatSync } from 'node:fs';
import { encodeName } from '@crts/plugin-api';
import { type SocketFacts, unixSockets } from './diag';
import { nameInUse } from './errors';
import { isAbstract, isOutside } from './graph';
import type { Socket } from './image';
import { isPath, join, pathText, showName } from './name';
import { SOCK_DGRAM, STATE } from './sockets';

const S_IFMT = 0o170000;
const S_IFSOCK = 0o140000;

/** Inodes of the sockets whose file is there and dead. Throws where a name belongs to something else. */
export function staleNames(sockets: Iterable<Socket>): Set<number> {
  const stale = new Set<number>();
  const bound = [...sockets].filter(isBoundForReal);
  if (bound.length === 0) return stale;
  const live = [...unixSockets().values()];
  for (const { entry, name } of bound) {
    if (!isPath(name)) {
      const taken = live.find((one) => one.name?.equals(name));
      if (taken !== undefined) throw nameInUse(showName(name), `socket ${taken.ino}`);
      continue;
    }
    const text = pathText(name);
    const path = entry.crts?.path ?? (text.startsWith('/') ? text : join(entry.name_dir ?? '/', text));
    if (isStale(path, name, live)) stale.add(entry.ino);
  }
  return stale;
}

function isStale(path: string, name: Buffer, live: readonly SocketFacts[]): boolean {
  let stat: BigIntStats;
  try {
    stat = lstatSync(encodeName(path), { bigint: true });
  } catch {
    // Nothing is there, or bind(2) will say what is wrong.
    return false;
  }
  if ((Number(stat.mode) & S_IFMT) !== S_IFSOCK) throw nameInUse(path, 'a file that is no socket');
  // s_dev of some file systems (btrfs) is not st_dev: the name counts too.
  const owner = live.find(
    ({ file, name: other }) =>
      file !== undefined &&
      file.ino === Number(stat.ino & 0xffff_ffffn) &&
      (file.dev === kernelDevice(stat.dev) || other?.equals(name) === true),
  );
  if (owner !== undefined) throw nameInUse(path, `socket ${owner.ino}, which is alive`);
  return true;
}

/** dev_t as the kernel keeps it: 12 bits of major, 20 of minor. */
function kernelDevice(dev: bigint): number {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return Number(((major << 20n) | minor) & 0xffff_ffffn);
}

/** Abstract names, and paths that are bound for real: what must be free when a restore begins. */
function isBoundForReal(socket: Socket): boolean {
  const { entry, name } = socket;
  if (name.length === 0 || entry.deleted === true) return false;
  const isEnd = entry.state === STATE.ESTABLISHED && entry.type !== SOCK_DGRAM;
  return !isEnd && !isOutside(socket) && (isAbstract(name) || encodeName(pathText(name)).length > 0);
}
