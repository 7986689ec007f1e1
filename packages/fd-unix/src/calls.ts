/** The calls that make, name, connect and fill sockets, inside the task. */
import { CONTROL_HEADER, type Credentials, controlRoom } from '@crts/native-syscalls';
import type { Arg, Data, Program } from '@crts/plugin-api';
import { notBound, notConnected } from './errors';
import { as, identityOf } from './identity';
import type { Message, Socket } from './image';
import { isPath, showName, socketAddress } from './name';
import { emitLargeBuffers } from './options';
import type { Place, Places } from './places';
import { AF_UNIX, SCM_CREDENTIALS, SCM_RIGHTS, SOCK_STREAM } from './sockets';
import { URGENT } from './urgent';

const AT_FDCWD = -100;
const AF_UNSPEC = 0;
const SOCK_CLOEXEC = 0o2000000;
const MSG_OOB = 0x1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const STREAM_CHUNK = 128 * 1024;
const ALL_PERMISSIONS = 0o777;
const NO_PERMISSIONS = 0o777;

export class Calls {
  #program: Program;
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

  /** Goes on in another program of the same task. */
  moveTo(program: Program): void {
    this.#program = program;
    this.#places.moveTo(program);
  }

  /** Queues a message. A stream takes it in pieces; what it brings comes with the first byte, as it was. */
  send(from: Arg, message: Message, type: number, borrow: Borrow): void {
    this.enlarge(from);
    if (message.urgent !== undefined) {
      this.#sendUrgent(from, message);
      return;
    }
    const size = type === SOCK_STREAM ? STREAM_CHUNK : Math.max(message.data.length, 1);
    for (let at = 0; at === 0 || at < message.data.length; at += size) {
      const data = message.data.subarray(at, at + size);
      this.sendTo(from, { ...message, data, rights: at === 0 ? message.rights : [] }, undefined, borrow);
    }
  }

  /** One that is to be read is any byte. */
  #sendUrgent(from: Arg, { data, urgent }: Message): void {
    const byte = this.#program.bytes(urgent === URGENT.READ ? Buffer.alloc(1) : data);
    this.#program.call('sendto', [from, byte, 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL, null, 0], {
      expect: 1,
      what: 'queue an urgent byte',
    });
  }

  /** Leaves the mark, as it was left. */
  readUrgent(fd: Arg): void {
    this.#program.call('recvfrom', [fd, this.#program.out(8), 1, MSG_OOB | MSG_DONTWAIT, null, null], {
      expect: 1,
      what: 'read the urgent byte',
    });
  }

  sendTo(from: Arg, message: Message, address: Buffer | undefined, borrow: Borrow): void {
    const { data, rights, credentials } = message;
    const what = `queue ${data.length} bytes${rights.length > 0 ? ` with files ${rights.join(', ')}` : ''}`;
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    if (rights.length === 0 && credentials === undefined) {
      const to = address === undefined ? [null, 0] : [this.#program.bytes(address), address.length];
      const args = [from, this.#program.bytes(data), data.length, flags, ...to];
      this.#program.call('sendto', args, { expect: data.length, what });
      return;
    }
    const program = this.#program;
    const fds = rights.map((id) => borrow(program, id));
    const header = emitHeader(program, data, address, controlFor(program, fds, credentials));
    program.call('sendmsg', [from, header, flags], { expect: data.length, what });
    for (const fd of fds) program.call('close', [fd]);
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

/** Emits what gets a duplicate of a description. */
export type Borrow = (program: Program, id: number) => Arg;

function controlFor(program: Program, fds: readonly Arg[], credentials: Credentials | undefined): Data {
  const parts: Buffer[] = [];
  if (fds.length > 0) parts.push(controlRoom(SCM_RIGHTS, 4 * fds.length));
  if (credentials !== undefined) {
    const part = controlRoom(SCM_CREDENTIALS, 12);
    part.writeInt32LE(credentials.pid, CONTROL_HEADER);
    part.writeUInt32LE(credentials.uid, CONTROL_HEADER + 4);
    part.writeUInt32LE(credentials.gid, CONTROL_HEADER + 8);
    parts.push(part);
  }
  const control = program.bytes(Buffer.concat(parts));
  fds.forEach((fd, index) => {
    program.store(control, CONTROL_HEADER + 4 * index, fd, 4);
  });
  return control;
}

/** struct msghdr and its iovec, with pointers that are known when the program runs. */
function emitHeader(program: Program, data: Buffer, address: Buffer | undefined, control: Data): Data {
  const iov = program.bytes(Buffer.alloc(16));
  const header = program.bytes(Buffer.alloc(56));
  program.store(iov, 0, program.bytes(data), 8);
  program.store(iov, 8, data.length, 8);
  if (address !== undefined) {
    program.store(header, 0, program.bytes(address), 8);
    program.store(header, 8, address.length, 4);
  }
  program.store(header, 16, iov, 8);
  program.store(header, 24, 1, 8);
  program.store(header, 32, control, 8);
  program.store(header, 40, control.sizeBytes, 8);
  return header;
}

function terminated(name: Buffer): Buffer {
  return name.at(-1) === 0 ? name : Buffer.concat([name, Buffer.from([0])]);
}
