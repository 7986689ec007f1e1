/** How the sockets of an image set hang together, and by which calls each connection is made again. Pure. */
import type { Socket } from './image';
import { SOCK_DGRAM, STATE, USK_EXTERN } from './sockets';

/** One end of a connection: a socket of the images, or one that is closed when all is done. */
export interface End {
  readonly socket?: Socket | undefined;
  readonly name: Buffer;
}

/** Two connected ends. `listener`: made by connect(2) and accept(2); else by socketpair(2). */
export interface Connection {
  readonly client: End;
  readonly server: End;
  readonly listener?: Socket | 'temporary' | undefined;
}

export interface Shape {
  /** Made by socket(2) alone. */
  readonly single: readonly Socket[];
  readonly connections: readonly Connection[];
  /**
   * Datagram sockets without a name that are connected elsewhere or not at all, and who sends to them all the same: socketpair(2),
   * then the target lets go.
   */
  readonly halves: readonly { readonly sender: End; readonly target: Socket }[];
  /** Datagram pairs made by socketpair(2); a member's peer may be closed. */
  readonly pairs: readonly { readonly a: Socket; readonly b: End }[];
  /** Connected to a listener and not accepted, in the order of its queue. */
  readonly waiting: readonly { readonly client: Socket; readonly listener: Socket }[];
}

const NO_NAME = Buffer.alloc(0);

export function isListening({ entry }: Socket): boolean {
  return entry.state === STATE.LISTEN && (entry.uflags & USK_EXTERN) === 0;
}

export function isOutside({ entry }: Socket): boolean {
  return (entry.uflags & USK_EXTERN) !== 0;
}

function isDatagram({ entry }: Socket): boolean {
  return entry.type === SOCK_DGRAM;
}

/** Sockets that must be opened together: one group for each inode. */
export function groupsOf(byIno: ReadonlyMap<number, Socket>): Map<number, readonly Socket[]> {
  const parent = new Map<number, number>([...byIno.keys()].map((ino) => [ino, ino]));
  const find = (ino: number): number => {
    let root = ino;
    while (parent.get(root) !== root) root = parent.get(root)!;
    for (let at = ino; at !== root; ) {
      const next = parent.get(at)!;
      parent.set(at, root);
      at = next;
    }
    return root;
  };
  const join = (a: number, b: number) => parent.set(find(a), find(b));
  // An accepted socket has its listener's name, a message the name of its sender.
  const bound = new Map<string, number>();
  for (const [ino, socket] of byIno)
    if (socket.name.length > 0 && (isListening(socket) || isDatagram(socket)) && !isOutside(socket))
      bound.set(nameKey(socket, socket.name), ino);
  for (const [ino, socket] of byIno) {
    if (isOutside(socket)) continue;
    const { entry, name, queue } = socket;
    if (entry.peer !== 0 && !isOutside(byIno.get(entry.peer)!)) join(ino, entry.peer);
    const names = [name, entry.crts?.peer_name, ...queue.map((message) => message.sender)];
    for (const one of names) {
      const other = one === undefined || one.length === 0 ? undefined : bound.get(nameKey(socket, one));
      if (other !== undefined) join(ino, other);
    }
  }
  const groups = new Map<number, Socket[]>();
  const groupOf = new Map<number, Socket[]>();
  for (const [ino, socket] of byIno) {
    const root = find(ino);
    const members = groups.get(root) ?? [];
    if (members.length === 0) groups.set(root, members);
    members.push(socket);
    groupOf.set(ino, members);
  }
  return groupOf;
}

function nameKey({ entry }: Socket, name: Uint8Array): string {
  return `${entry.type} ${Buffer.from(name).toString('hex')}`;
}

export function shapeOf(members: readonly Socket[], byIno: ReadonlyMap<number, Socket>): Shape {
  const streams = members.filter((socket) => !isDatagram(socket) && !isOutside(socket));
  const datagrams = members.filter((socket) => isDatagram(socket) && !isOutside(socket));
  const listeners = streams.filter(isListening);
  const connections: Connection[] = [];
  const waiting: { client: Socket; listener: Socket }[] = [];
  const single: Socket[] = [];
  for (const socket of streams) {
    const { entry } = socket;
    const peer = entry.peer === 0 ? undefined : byIno.get(entry.peer);
    if (entry.state !== STATE.ESTABLISHED || (peer !== undefined && isOutside(peer))) single.push(socket);
    else if (peer === undefined) connections.push(connection(socket, closedEnd(socket), listeners));
    else if (isListening(peer)) {
      single.push(socket);
      waiting.push({ client: socket, listener: peer });
    } else if (entry.ino < peer.entry.ino) connections.push(connection(socket, endOf(peer), listeners));
  }
  waiting.sort((a, b) => rank(a.listener, a.client) - rank(b.listener, b.client));
  return { single: [...single, ...datagramSingles(datagrams)], connections, waiting, ...datagramPairs(datagrams) };
}

/** Place in the queue of the listener; by inode, which is older first, where the images do not tell. */
function rank(listener: Socket, client: Socket): number {
  const place = (listener.entry.crts?.waiting ?? []).indexOf(client.entry.ino);
  return place < 0 ? 0x1_0000 + client.entry.ino : place;
}

function endOf(socket: Socket): End {
  return { socket, name: socket.name };
}

function closedEnd({ entry }: Socket): End {
  return { name: Buffer.from(entry.crts?.peer_name ?? NO_NAME) };
}

/** Which end connects and which is accepted, so that both show their names. */
function connection(socket: Socket, other: End, listeners: readonly Socket[]): Connection {
  const own = endOf(socket);
  for (const [server, client] of [
    [own, other],
    [other, own],
  ] as const) {
    const listener = listenerNamed(server.name, socket, listeners);
    if (listener !== undefined) return { client, server, listener };
  }
  // Only accept(2) gives an abstract name that the next listener can take too. The accepted end is the younger one.
  const younger = (other.socket?.entry.ino ?? 0) > socket.entry.ino ? [other, own] : [own, other];
  for (const server of younger)
    if (isAbstract(server.name)) return { server, client: server === own ? other : own, listener: 'temporary' };
  return { client: own, server: other };
}

function listenerNamed(name: Buffer, { entry }: Socket, listeners: readonly Socket[]): Socket | undefined {
  if (name.length === 0) return undefined;
  return listeners.find((one) => one.entry.type === entry.type && one.name.equals(name));
}

export function isAbstract(name: Buffer): boolean {
  return name.length > 0 && name[0] === 0;
}

function isPairable(socket: Socket, mate: Buffer, mateIno: number, all: readonly Socket[]): boolean {
  const isAlone = all.every((one) => one.entry.peer !== socket.entry.ino || one.entry.ino === mateIno);
  return isAlone && socket.queue.every(({ sender }) => sender === undefined || sender.equals(mate));
}

/** A mutual pair without third parties, or one whose peer is closed. */
function pairMate(socket: Socket, all: readonly Socket[]): End | undefined {
  const { entry } = socket;
  if (entry.peer === 0) {
    const closed = closedEnd(socket);
    return entry.crts?.peer_gone === true && isPairable(socket, closed.name, 0, all) ? closed : undefined;
  }
  const peer = all.find((one) => one.entry.ino === entry.peer);
  if (peer === undefined || peer === socket || peer.entry.peer !== entry.ino) return undefined;
  const isGood = isPairable(socket, peer.name, entry.peer, all) && isPairable(peer, socket.name, entry.ino, all);
  return isGood ? endOf(peer) : undefined;
}

function halfTarget(socket: Socket, all: readonly Socket[]): Socket | undefined {
  const peer = all.find((one) => one.entry.ino === socket.entry.peer);
  const isHalf =
    peer !== undefined && peer !== socket && peer.name.length === 0 && peer.entry.peer !== socket.entry.ino;
  return isHalf ? peer : undefined;
}

/** Messages came, and nobody is left who could send them again: it had a pair's other end as its peer once. */
function isForsaken({ entry, name, queue }: Socket, all: readonly Socket[]): boolean {
  const isAlone = name.length === 0 && entry.peer === 0 && all.every((one) => one.entry.peer !== entry.ino);
  return isAlone && queue.length > 0;
}

function datagramPairs(all: readonly Socket[]): Pick<Shape, 'pairs' | 'halves'> {
  const pairs: { a: Socket; b: End }[] = [];
  const halves: { sender: End; target: Socket }[] = [];
  for (const socket of all) {
    const mate = pairMate(socket, all);
    if (mate !== undefined) {
      if (mate.socket === undefined || socket.entry.ino < mate.socket.entry.ino) pairs.push({ a: socket, b: mate });
      continue;
    }
    const target = halfTarget(socket, all);
    if (target !== undefined) halves.push({ sender: endOf(socket), target });
    else if (isForsaken(socket, all)) halves.push({ sender: closedEnd(socket), target: socket });
  }
  return { pairs, halves };
}

function datagramSingles(all: readonly Socket[]): Socket[] {
  const { pairs, halves } = datagramPairs(all);
  const made = new Set([
    ...pairs.flatMap(({ a, b }) => [a, b.socket]),
    ...halves.flatMap(({ sender, target }) => [sender.socket, target]),
  ]);
  return all.filter((socket) => !made.has(socket));
}

/**
 * Datagram sockets in the order in which they connect: a socket that is connected itself lets nobody but its peer connect to it or
 * send to it (unix_may_send(), net/unix/af_unix.c), so all who are connected to it come before.
 */
export function connectOrder(all: readonly Socket[]): Socket[] {
  const ordered: Socket[] = [];
  const seen = new Set<Socket>();
  const visit = (socket: Socket): void => {
    if (seen.has(socket)) return;
    seen.add(socket);
    for (const one of all) if (one.entry.peer === socket.entry.ino) visit(one);
    ordered.push(socket);
  };
  for (const socket of all) visit(socket);
  return ordered;
}
