/** The calls that make, name, connect and fill sockets, inside the task. */
import type { Arg, Program } from '@crts/plugin-api';
import { notBound, notConnected } from './errors';
import { as, identityOf } from './identity';
import type { Message, Socket } from './image';
import { isPath, showName, socketAddress } from './name';
import { emitLargeBuffers } from './options';
import type { Place, Places } from './places';
import { AF_UNIX, SOCK_STREAM } from './sockets';

const AT_FDCWD = -100;
const AF_UNSPEC = 0;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const STREAM_CHUNK = 128 * 1024;
const ALL_PERMISSIONS = 0o777;
const NO_PERMISSIONS = 0o777;

export class Calls {
  readonly #program: Program;
  readonly #places: Places;
  readonly #large = new Set<Arg>();

  constructor(program: Program, places: Places) {
    this.#program = program;
    this.#places = places;
  }

  bindGone(fd: Arg, name: Buffer, directory?: string): void {
    if (name.length === 0) return;
    if (!isPath(name)) {
      this.bindName(fd, name);
      return;
    }
    const ghost = this.#places.ghost(name, directory);
    this.#places.at({ name, directory, ghost }, () => {
      this.bindName(fd, name);
      this.unlink(name);
    });
  }

  /** No one reaches a datagram socket before its file has the permissions that it had. */
  bindPath(fd: Arg, { entry, name }: Socket): void {
    const program = this.#program;
    const mask = program.call('umask', [NO_PERMISSIONS]);
    this.bindName(fd, name);
    program.call('umask', [mask]);
    const path = program.bytes(terminated(name));
    const { mode, uid, gid } = entry.file_perms ?? { mode: ALL_PERMISSIONS, uid: 0, gid: 0 };
    if (uid !== 0 || gid !== 0)
      program.call('fchownat', [AT_FDCWD, path, uid, gid, 0], { what: `owner of ${showName(name)}` });
    program.call('fchmodat', [AT_FDCWD, path, mode & 0o7777], { what: `mode of ${showName(name)}` });
  }

  bindName(fd: Arg, name: Buffer): void {
    const address = socketAddress(name);
    this.#program.call('bind', [fd, this.#program.bytes(address), address.length], {
      what: `bind ${showName(name)}`,
      fail: (errno) => notBound(showName(name), errno),
    });
  }

  connect(fd: Arg, place: Place): void {
    const address = socketAddress(place.name);
    this.#places.at(place, () => {
      this.#program.call('connect', [fd, this.#program.bytes(address), address.length], {
        what: `connect to ${showName(place.name)}`,
        fail: (errno) => notConnected(showName(place.name), errno),
      });
    });
  }

  disconnect(fd: Arg): void {
    const address = Buffer.alloc(16);
    address.writeUInt16LE(AF_UNSPEC, 0);
    this.#program.call('connect', [fd, this.#program.bytes(address), address.length], {
      what: 'let go of the other end',
    });
  }

  unlink(name: Buffer, expect: 'ok' | 'any' = 'ok'): void {
    this.#program.call('unlinkat', [AT_FDCWD, this.#program.bytes(terminated(name)), 0], {
      expect,
      what: `unlink ${showName(name)}`,
    });
  }

  send(from: Arg, message: Message, type: number): void {
    this.enlarge(from);
    const size = type === SOCK_STREAM ? STREAM_CHUNK : Math.max(message.data.length, 1);
    for (let at = 0; at === 0 || at < message.data.length; at += size) {
      const piece = message.data.subarray(at, at + size);
      this.sendTo(from, piece, undefined);
    }
  }

  sendTo(from: Arg, data: Buffer, address: Buffer | undefined): void {
    const to = address === undefined ? [null, 0] : [this.#program.bytes(address), address.length];
    const args = [from, this.#program.bytes(data), data.length, MSG_DONTWAIT | MSG_NOSIGNAL, ...to];
    this.#program.call('sendto', args, { expect: data.length, what: `queue ${data.length} bytes` });
  }

  enlarge(fd: Arg): void {
    if (this.#large.has(fd)) return;
    this.#large.add(fd);
    emitLargeBuffers(this.#program, fd);
  }

  pair(socket: Socket): [Arg, Arg] {
    const fds = this.#program.out(8);
    as(this.#program, identityOf(socket.entry), () => {
      this.#program.call('socketpair', [AF_UNIX, socket.entry.type | SOCK_CLOEXEC, 0, fds], {
        what: 'a connected pair',
      });
    });
    return [fds.u32(0), fds.u32(4)];
  }

  socket(type: number): Arg {
    return this.#program.call('socket', [AF_UNIX, type | SOCK_CLOEXEC, 0], { what: 'a socket' });
  }
}

function terminated(name: Buffer): Buffer {
  return name.at(-1) === 0 ? name : Buffer.concat([name, Buffer.from([0])]);
}
