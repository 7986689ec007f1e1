/** SO_PEERCRED names who called listen(2) and connect(2): where several tasks did, each does so again. */
import { closeFd, pidfdGetfd, pidfdOpen, syscall } from '@crts/native-syscalls';
import type { Arg, HostStepContext, Pid, Program } from '@crts/plugin-api';
import { Calls } from './calls';
import { notConnected } from './errors';
import type { Connection, Shape } from './graph';
import { isListening } from './graph';
import { as, type Identity, identityOf } from './identity';
import type { Socket } from './image';
import { isPath, showName, socketAddress } from './name';
import { Places } from './places';
import { AF_UNIX } from './sockets';

const SIOCUNIXFILE = 0x89e0;
const SOCK_CLOEXEC = 0o2000000;

/** Both ends of a connection, as descriptors of crts. */
export interface Made {
  readonly client: number;
  readonly server: number;
}

/** Who did what, as far as those tasks are in the dump; else the task that opens the group. */
export class Makers {
  readonly #shape: Shape;
  readonly #opener: Pid;
  readonly #pids: ReadonlySet<Pid>;

  constructor(shape: Shape, opener: Pid, pids: ReadonlySet<Pid>) {
    this.#shape = shape;
    this.#opener = opener;
    this.#pids = pids;
  }

  get areSeveral(): boolean {
    const { single, waiting } = this.#shape;
    const all = [
      ...single.filter(isListening).map((socket) => this.#listenerOf(socket)),
      ...this.#accepted().map((connection) => this.#clientOf(connection)),
      ...waiting.map(({ client }) => this.#waiterOf(client)),
    ];
    return all.some((pid) => pid !== this.#opener);
  }

  /** Whom SO_PEERCRED of a socket will show. */
  shown(socket: Socket): Pid {
    if (isListening(socket)) return this.#listenerOf(socket);
    for (const connection of this.#accepted()) {
      if (connection.server.socket === socket) return this.#clientOf(connection);
      if (connection.client.socket === socket) return this.#listenerOf(connection.listener);
    }
    const waiting = this.#shape.waiting.find(({ client }) => client === socket);
    return waiting === undefined ? this.#opener : this.#listenerOf(waiting.listener);
  }

  /**
   * `numberOf` is the number of a listener or of a client that waits, in the task of the step. Connections are made one by one, so that the
   * one that is accepted is the one that was just made; those that wait come last.
   */
  run(step: HostStepContext, numberOf: (ino: number) => number): ReadonlyMap<Connection, Made> {
    const made = new Map<Connection, Made>();
    const pidfd = pidfdOpen(step.hostPid);
    const listeners = new Map<Socket, number>();
    try {
      for (const socket of this.#shape.single.filter(isListening)) {
        const fd = pidfdGetfd(pidfd, numberOf(socket.entry.ino));
        listeners.set(socket, fd);
        if (this.#listenerOf(socket) !== this.#opener) listenAs(step, this.#listenerOf(socket), fd, socket);
      }
      for (const connection of this.#accepted()) {
        const { client, server, listener } = connection;
        const { type } = listener.entry;
        const fd = syscall('socket', AF_UNIX, type | SOCK_CLOEXEC, 0);
        const listening = listeners.get(listener)!;
        if (client.name.length > 0) bindGone(step, fd, client.name, client.socket?.entry.name_dir);
        connectAs(step, this.#clientOf(connection), identityOf(server.socket?.entry), fd, listener, listening);
        made.set(connection, { client: fd, server: syscall('accept4', listening, null, null, SOCK_CLOEXEC) });
      }
      for (const { client, listener } of this.#shape.waiting) {
        const fd = pidfdGetfd(pidfd, numberOf(client.entry.ino));
        connectAs(step, this.#waiterOf(client), ownerOf(client), fd, listener, listeners.get(listener)!);
        closeFd(fd);
      }
      return made;
    } finally {
      closeFd(pidfd);
      for (const fd of listeners.values()) closeFd(fd);
    }
  }

  /** Connections that a listener of the group has accepted. */
  #accepted(): (Connection & { readonly listener: Socket })[] {
    return this.#shape.connections.filter(isAccepted);
  }

  #listenerOf({ entry }: Socket): Pid {
    return this.#known(entry.crts?.cred_pid);
  }

  #clientOf({ server }: Connection): Pid {
    return this.#known(server.socket?.entry.crts?.cred_pid);
  }

  #waiterOf({ entry }: Socket): Pid {
    return this.#known(entry.crts?.maker_pid);
  }

  #known(pid: Pid | undefined): Pid {
    return pid !== undefined && this.#pids.has(pid) ? pid : this.#opener;
  }
}

export function isAccepted(connection: Connection): connection is Connection & { readonly listener: Socket } {
  return connection.listener !== undefined && connection.listener !== 'temporary';
}

/** Who has made the socket itself, which is whom a server sees that accepts later. */
export function ownerOf({ entry }: Socket): Identity | undefined {
  const { uid = 0, gid = 0 } = entry.crts ?? {};
  return uid === 0 && gid === 0 ? undefined : { uid, gid };
}

/** listen(2) of a socket that listens already takes the credentials of the caller, and nothing else: unix_listen(). */
function listenAs(step: HostStepContext, pid: Pid, fd: number, { entry, name }: Socket): void {
  step.runIn(pid, (program) => {
    const own = program.receiveFd(fd);
    as(program, identityOf(entry), () => {
      program.call('listen', [own, entry.backlog], { what: `listen on ${showName(name)} as who did` });
    });
    program.call('close', [own]);
  });
}

function bindGone(step: HostStepContext, fd: number, name: Buffer, directory: string | undefined): void {
  step.run((program) => {
    const places = new Places(program);
    const own = program.receiveFd(fd);
    new Calls(program, places).bindGone(own, name, directory);
    program.call('close', [own]);
    places.close();
  });
}

/** By the file of the listener, wherever it lies and whether or not its name leads there: /proc/self/fd/N leads to it. */
function connectAs(
  step: HostStepContext,
  pid: Pid,
  identity: Identity | undefined,
  fd: number,
  listener: Socket,
  listening: number,
): void {
  const { name } = listener;
  const connect = (program: Program, address: Buffer) => {
    const own = program.receiveFd(fd);
    as(program, identity, () => {
      program.call('connect', [own, program.bytes(address), address.length], {
        what: `connect to ${showName(name)} as who did`,
        fail: (errno) => notConnected(showName(name), errno),
      });
    });
    program.call('close', [own]);
  };
  if (!isPath(name)) {
    step.runIn(pid, (program) => connect(program, socketAddress(name)));
    return;
  }
  const file = syscall('ioctl', listening, SIOCUNIXFILE, 0);
  let there: Arg & { readonly value: bigint };
  step.runIn(pid, (program) => {
    there = program.receiveFd(file);
  });
  closeFd(file);
  step.runIn(pid, (program) => {
    connect(program, socketAddress(Buffer.from(`/proc/self/fd/${there.value}\0`)));
    program.call('close', [there]);
  });
}
