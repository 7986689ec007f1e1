/** Opens sockets that hang together: made, named, connected, filled, and only then as their options say. */
import { basename, dirname } from 'node:path';
import type { Arg, LateFd, Program, Result } from '@crts/plugin-api';
import { encodeName } from '@crts/plugin-api';
import { type Borrow, Calls } from './calls';
import { type Connection, connectOrder, type End, isListening, isOutside, type Shape } from './graph';
import { as, identityOf } from './identity';
import type { Message, Socket } from './image';
import { isAccepted, ownerOf } from './makers';
import { isPath, pathText, showName, socketAddress } from './name';
import { emitOptions } from './options';
import { Places } from './places';
import { SOCK_DGRAM, STATE } from './sockets';
import { URGENT } from './urgent';

const SOCK_CLOEXEC = 0o2000000;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
/** O_APPEND, O_NONBLOCK, O_NOATIME: what fcntl(2) may set on a socket; O_ASYNC is the engine's. */
const SETTABLE = 0o2000 | 0o4000 | 0o1000000;
const O_RDWR = 2;
const BACKLOG_TEMPORARY = 8;

/** Ends of a connection that exist when the program is sent. */
export interface LateMade {
  readonly client: LateFd;
  readonly server: LateFd;
}

export interface OpeningFacts {
  readonly byIno: ReadonlyMap<number, Socket>;
  /** Inodes of sockets under whose name a dead socket file lies, which is replaced. */
  readonly stale: ReadonlySet<number>;
  /** Descriptors of crts by inode: sockets that are taken as they are. */
  readonly inherited: ReadonlyMap<number, number>;
  /** Of the own members. */
  readonly shape: Shape;
}

/** Those that a restore makes. */
export function ownMembers(members: readonly Socket[], inherited: ReadonlyMap<number, number>): readonly Socket[] {
  return members.filter((socket) => !isOutside(socket) && !inherited.has(socket.entry.ino));
}

/** Whether a group waits with its queues until all descriptions are open: messages bring some. */
export function bringsRights(members: readonly Socket[]): boolean {
  return members.some(({ queue }) => queue.some(({ rights }) => rights.length > 0));
}

const nothingToBorrow: Borrow = () => {
  throw new Error('a message with descriptors is queued when they are open');
};

export class Opening {
  readonly #members: readonly Socket[];
  readonly #inherited: readonly Socket[];
  #program: Program;
  #borrow: Borrow = nothingToBorrow;
  readonly #facts: OpeningFacts;
  readonly #shape: Shape;
  readonly #places: Places;
  readonly #calls: Calls;
  #fds = new Map<number, Arg>();
  /** The other end of connections whose peer is closed, by the inode of the end that stays. */
  readonly #closed = new Map<number, Arg>();
  readonly #ghosts = new Map<number, Arg>();
  readonly #temporary: Arg[] = [];
  #begun = false;

  constructor(members: readonly Socket[], program: Program, facts: OpeningFacts) {
    this.#inherited = members.filter((socket) => facts.inherited.has(socket.entry.ino));
    this.#members = ownMembers(members, facts.inherited);
    this.#program = program;
    this.#facts = facts;
    this.#shape = facts.shape;
    this.#places = new Places(program);
    this.#calls = new Calls(program, this.#places);
  }

  get shape(): Shape {
    return this.#shape;
  }

  /** Makes and names them up to the listeners, under numbers that others do not touch: who connects may be another task. */
  begin(spare: number): void {
    this.#begin();
    this.#begun = true;
    const move = this.#mover(spare);
    this.#fds = new Map([...this.#fds].map(([ino, fd]) => [ino, move(fd)]));
    this.#keepOthers(move);
  }

  /** Number of one in the task, when `begin` has run. */
  numberOf(ino: number): number {
    return Number((this.#fd(ino) as Result).value);
  }

  /** Makes, names and connects them. After `begin` in another program of the same task; `made` is asked for connections then. */
  make(program: Program, made?: (connection: Connection) => LateMade): ReadonlyMap<number, Arg> {
    this.#goOnIn(program);
    if (!this.#begun) this.#begin();
    for (const connection of this.#shape.connections)
      if (made !== undefined && isAccepted(connection)) this.#takeMade(connection, made(connection));
      else this.#connectStreams(connection);
    return this.#fds;
  }

  #takeMade({ client, server }: Connection, made: LateMade): void {
    const some = (client.socket ?? server.socket)!;
    this.#take(client, this.#program.receiveFd(made.client, { what: 'take what was connected' }), some);
    this.#take(server, this.#program.receiveFd(made.server, { what: 'take what was accepted' }), some);
  }

  #begin(): void {
    for (const { entry } of this.#inherited)
      this.#fds.set(
        entry.ino,
        this.#program.receiveFd(this.#facts.inherited.get(entry.ino)!, { what: `take socket:[${entry.ino}]` }),
      );
    this.#makeSingles();
    this.#makeDatagramPairs();
    this.#listen();
  }

  /** Fills the queues and makes the sockets what they are in the end. */
  complete(): void {
    this.#fillStreams();
    this.#connectDatagrams();
    if (!this.#begun) this.#queueWaiting();
    for (const socket of this.#members) this.#settle(socket);
    this.#leave();
  }

  /** Descriptors of its own for `completeLater`, which the numbers that are given meanwhile do not touch. */
  keep(spare: number): void {
    const duplicate = (fd: Arg) =>
      this.#program.call('fcntl', [fd, F_DUPFD_CLOEXEC, spare], { what: 'keep it for later' });
    this.#fds = new Map([...this.#fds].map(([ino, fd]) => [ino, duplicate(fd)]));
    this.#keepOthers(this.#mover(spare));
  }

  #mover(spare: number) {
    return (fd: Arg): Arg => {
      const kept = this.#program.call('fcntl', [fd, F_DUPFD_CLOEXEC, spare], { what: 'keep it for later' });
      this.#program.call('close', [fd]);
      return kept;
    };
  }

  #keepOthers(move: (fd: Arg) => Arg): void {
    for (const [ino, fd] of this.#closed) this.#closed.set(ino, move(fd));
    this.#places.keep((fd) => {
      const kept = move(fd);
      for (const [ino, ghost] of this.#ghosts) if (ghost === fd) this.#ghosts.set(ino, kept);
      return kept;
    });
  }

  /** In the same task, when all descriptions are open. */
  completeLater(program: Program, borrow: Borrow): void {
    this.#goOnIn(program);
    this.#borrow = borrow;
    this.complete();
    for (const fd of this.#fds.values()) program.call('close', [fd]);
  }

  #goOnIn(program: Program): void {
    this.#program = program;
    this.#calls.moveTo(program);
  }

  #makeSingles(): void {
    for (const socket of this.#shape.single) this.#fds.set(socket.entry.ino, this.#calls.socket(socket.entry.type));
    for (const socket of this.#shape.single) {
      const { ino, type, state, peer } = socket.entry;
      if (type === SOCK_DGRAM || state !== STATE.ESTABLISHED) this.#bind(socket);
      else this.#calls.bindGone(this.#fd(ino), socket.name, socket.entry.name_dir);
      const outside = this.#facts.byIno.get(peer);
      if (type !== SOCK_DGRAM && outside !== undefined && isOutside(outside)) this.#connectTo(socket, outside);
    }
  }

  #makeDatagramPairs(): void {
    for (const { a, b } of this.#shape.pairs) {
      const [first, second] = this.#calls.pair(a);
      this.#fds.set(a.entry.ino, first);
      if (b.socket !== undefined) this.#fds.set(b.socket.entry.ino, second);
      else {
        this.#closed.set(a.entry.ino, second);
        this.#calls.bindGone(second, b.name);
      }
      this.#bind(a);
      if (b.socket !== undefined) this.#bind(b.socket);
    }
    for (const { sender, target } of this.#shape.halves) {
      const [first, second] = this.#calls.pair(target);
      this.#take(sender, first, target);
      this.#fds.set(target.entry.ino, second);
      this.#calls.disconnect(second);
      if (sender.socket !== undefined) this.#bind(sender.socket);
    }
  }

  #listen(): void {
    for (const socket of this.#shape.single) {
      if (!isListening(socket)) continue;
      const { ino, backlog } = socket.entry;
      as(this.#program, identityOf(socket.entry), () => {
        this.#program.call('listen', [this.#fd(ino), backlog], { what: `listen on ${showName(socket.name)}` });
      });
    }
  }

  /** accept(2) gives the end the name of the listener; a pair gets its names by bind(2). */
  #connectStreams(connection: Connection): void {
    const { client, server, listener } = connection;
    const some = (client.socket ?? server.socket)!;
    if (listener === undefined) {
      const [first, second] = this.#calls.pair(some);
      this.#take(client, first, some);
      this.#take(server, second, some);
      for (const [end, fd] of [
        [client, first],
        [server, second],
      ] as const)
        this.#bindConnected(end, fd);
      return;
    }
    const listening =
      listener === 'temporary' ? this.#temporaryListener(server.name, some.entry.type) : this.#fd(listener.entry.ino);
    const fd = this.#calls.socket(some.entry.type);
    this.#bindConnected(client, fd);
    // The accepted end shows who connected.
    as(this.#program, identityOf(server.socket?.entry), () => {
      this.#calls.connect(fd, listener === 'temporary' ? { name: server.name } : this.#placed(listener));
    });
    const accepted = this.#program.call('accept4', [listening, null, null, SOCK_CLOEXEC], { what: 'accept it' });
    if (listener === 'temporary') this.#program.call('close', [listening]);
    this.#take(client, fd, some);
    this.#take(server, accepted, some);
  }

  #take(end: End, fd: Arg, some: Socket): void {
    if (end.socket !== undefined) this.#fds.set(end.socket.entry.ino, fd);
    else this.#closed.set(some.entry.ino, fd);
  }

  #temporaryListener(name: Buffer, type: number): Arg {
    const fd = this.#calls.socket(type);
    this.#calls.bindName(fd, name);
    this.#program.call('listen', [fd, BACKLOG_TEMPORARY]);
    return fd;
  }

  /** The name of an end of a connection: nobody connects to it, so its file need not be there. */
  #bindConnected(end: End, fd: Arg): void {
    this.#calls.bindGone(fd, end.name, end.socket?.entry.name_dir);
  }

  #bind(socket: Socket): void {
    const { entry, name } = socket;
    if (name.length === 0) return;
    if (entry.crts?.path !== undefined && entry.deleted !== true && isPath(name)) {
      this.#places.moved(name, entry.crts.path, entry.ino, () => this.#calls.bindPath(this.#fd(entry.ino), socket));
      return;
    }
    if (entry.deleted === true && isPath(name)) this.#ghosts.set(entry.ino, this.#places.ghost(name, entry.name_dir));
    this.#places.at(this.#placed(socket), () => {
      if (this.#facts.stale.has(entry.ino)) this.#calls.unlink(name, 'any');
      if (!isPath(name)) this.#calls.bindName(this.#fd(entry.ino), name);
      else this.#calls.bindPath(this.#fd(entry.ino), socket);
    });
  }

  #placed(socket: Socket) {
    const { ino, name_dir, crts } = socket.entry;
    if (crts?.path !== undefined && socket.entry.deleted !== true)
      return { name: Buffer.from(encodeName(basename(crts.path))), directory: dirname(crts.path) };
    const path = isPath(socket.name) ? pathText(socket.name) : '/';
    return {
      name: socket.name,
      directory: path.startsWith('/') ? undefined : (name_dir ?? '/'),
      ghost: this.#ghosts.get(ino),
    };
  }

  #fillStreams(): void {
    for (const { client, server } of this.#shape.connections)
      for (const [end, other] of [
        [client, server],
        [server, client],
      ] as const) {
        if (end.socket === undefined) continue;
        const from = this.#endFd(other, end.socket);
        for (const message of end.socket.queue) {
          this.#calls.send(from, message, end.socket.entry.type, this.#borrow);
          if (message.urgent === URGENT.READ) this.#calls.readUrgent(this.#fd(end.socket.entry.ino));
        }
        if (other.socket !== undefined) continue;
        // What is closed with unread data tells the other end ECONNRESET: unix_release_sock(), net/unix/af_unix.c.
        if (end.socket.entry.crts?.pending_error === true)
          this.#calls.send(this.#fd(end.socket.entry.ino), RESET, end.socket.entry.type, this.#borrow);
        this.#closed.delete(end.socket.entry.ino);
        this.#program.call('close', [from], { what: 'the other end is closed' });
      }
  }

  #endFd(end: End, other: Socket): Arg {
    return end.socket === undefined ? this.#closed.get(other.entry.ino)! : this.#fd(end.socket.entry.ino);
  }

  #connectDatagrams(): void {
    const datagrams = this.#members.filter((socket) => socket.entry.type === SOCK_DGRAM);
    const paired = new Set<Socket | undefined>(this.#shape.pairs.flatMap(({ a, b }) => [a, b.socket]));
    const halves = new Set(this.#shape.halves.map(({ sender }) => sender.socket));
    for (const socket of connectOrder(datagrams)) {
      this.#fillDatagrams(socket, datagrams);
      if (paired.has(socket) || halves.has(socket)) continue;
      const { peer, crts, ino } = socket.entry;
      if (peer !== 0) this.#connectTo(socket, this.#facts.byIno.get(peer)!);
      else if (crts?.peer_gone === true) this.#connectToGone(ino, Buffer.from(crts.peer_name ?? []));
    }
    for (const fd of this.#closed.values()) this.#program.call('close', [fd], { what: 'the other end is closed' });
    this.#closed.clear();
  }

  #connectTo(socket: Socket, peer: Socket): void {
    as(this.#program, identityOf(socket.entry), () =>
      this.#calls.connect(this.#fd(socket.entry.ino), this.#placed(peer)),
    );
  }

  /** Connected to a socket that is closed then. One without a name can be reached only by a name that the kernel gives. */
  #connectToGone(ino: number, name: Buffer): void {
    const gone = this.#calls.socket(SOCK_DGRAM);
    if (isPath(name)) {
      const ghost = this.#places.ghost(name, undefined);
      this.#places.at({ name, ghost, directory: undefined }, () => {
        this.#calls.bindName(gone, name);
        this.#calls.connect(this.#fd(ino), { name });
      });
    } else {
      const own = name.length > 0 ? name : Buffer.from(`\0crts-${ino}`);
      this.#calls.bindName(gone, own);
      this.#calls.connect(this.#fd(ino), { name: own });
    }
    this.#program.call('close', [gone]);
  }

  #fillDatagrams(socket: Socket, datagrams: readonly Socket[]): void {
    if (socket.queue.length === 0) return;
    const mate = this.#mateOf(socket);
    this.#places.at(this.#placed(socket), () => {
      const address = socket.name.length > 0 ? socketAddress(socket.name) : undefined;
      for (const message of socket.queue) {
        const { sender } = message;
        const known = sender === undefined ? undefined : datagrams.find((one) => one.name.equals(sender));
        const from = known === undefined ? (mate ?? this.#stranger(sender)) : this.#fd(known.entry.ino);
        this.#calls.enlarge(from);
        // A connected pair needs no address, and a peer without a name has none.
        this.#calls.sendTo(from, message, from === mate ? undefined : address, this.#borrow);
      }
    });
  }

  /** Whoever is connected to it for good and is nobody else's. */
  #mateOf({ entry }: Socket): Arg | undefined {
    const pair = this.#shape.pairs.find(({ a, b }) => a.entry.ino === entry.ino || b.socket?.entry.ino === entry.ino);
    if (pair !== undefined) {
      if (pair.a.entry.ino !== entry.ino) return this.#fd(pair.a.entry.ino);
      return pair.b.socket === undefined ? this.#closed.get(entry.ino) : this.#fd(pair.b.socket.entry.ino);
    }
    const half = this.#shape.halves.find(({ target }) => target.entry.ino === entry.ino);
    return half === undefined ? undefined : this.#endFd(half.sender, half.target);
  }

  /** A sender that is not in the images: its name is all that its messages keep of it. */
  #stranger(name: Buffer | undefined): Arg {
    const fd = this.#calls.socket(SOCK_DGRAM);
    this.#temporary.push(fd);
    if (name !== undefined) this.#calls.bindGone(fd, name);
    return fd;
  }

  #queueWaiting(): void {
    for (const { client, listener } of this.#shape.waiting)
      as(this.#program, ownerOf(client), () => this.#calls.connect(this.#fd(client.entry.ino), this.#placed(listener)));
  }

  /** Options, shutdown and flags, when everything is where it belongs. */
  #settle({ entry }: Socket): void {
    const fd = this.#fd(entry.ino);
    const shutdown = entry.shutdown ?? 0;
    const isGone = entry.state === STATE.ESTABLISHED && entry.type !== SOCK_DGRAM && entry.peer === 0;
    // The end of a closed connection is shut by that already. SHUT_RD is 0, SHUT_WR 1, SHUT_RDWR 2.
    if (shutdown !== 0 && !isGone) this.#program.call('shutdown', [fd, shutdown - 1]);
    emitOptions(this.#program, fd, entry.opts, entry.crts?.options ?? []);
    const { uid = 0, gid = 0, mode } = entry.crts ?? {};
    if (uid !== 0 || gid !== 0) this.#program.call('fchown', [fd, uid, gid], { what: 'owner of the socket' });
    if (mode !== undefined) this.#program.call('fchmod', [fd, mode], { what: 'permissions of the socket' });
    const flags = entry.flags & SETTABLE;
    if (flags !== 0) this.#program.call('fcntl', [fd, F_SETFL, flags | O_RDWR], { what: 'flags' });
  }

  #leave(): void {
    for (const [ino, ghost] of this.#ghosts) {
      const socket = this.#facts.byIno.get(ino)!;
      this.#places.at({ ...this.#placed(socket), ghost }, () => this.#calls.unlink(socket.name));
    }
    for (const fd of this.#temporary) this.#program.call('close', [fd]);
    this.#places.close();
  }

  #fd(ino: number): Arg {
    return this.#fds.get(ino)!;
  }
}

const RESET: Message = { data: Buffer.from([0]), rights: [] };
