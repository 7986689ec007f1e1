/** Sockets whose other end is not in the images. */
import type { RunOptions } from '@crts/plugin-api';
import { inheritedInside, leftOutside } from './errors';
import { isOutside } from './graph';
import type { Socket } from './image';
import { showName } from './name';
import { SOCK_DGRAM } from './sockets';

/** Descriptors that the caller hands back, by inode. Throws where a connection to the outside is left to nobody. */
export function inheritedSockets(byIno: ReadonlyMap<number, Socket>, options: RunOptions): Map<number, number> {
  const inherited = new Map<number, number>();
  for (const socket of byIno.values()) {
    const { id, ino, type } = socket.entry;
    if (isOutside(socket)) continue;
    const peer = byIno.get(socket.entry.peer);
    const fd = options.inherit?.fdFor(`socket:[${ino}]`);
    if (fd !== undefined) {
      if (peer !== undefined && !isOutside(peer)) throw inheritedInside(id, ino);
      inherited.set(ino, fd);
    } else if (peer !== undefined && isOutside(peer)) {
      const isFound = peer.name.length > 0 && (type === SOCK_DGRAM || options.externalUnixSockets === true);
      if (!isFound) throw leftOutside(id, ino, showName(peer.name));
    }
  }
  return inherited;
}
