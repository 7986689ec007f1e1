/** Stream sockets of this machine: unix(7). */
import { SyscallError } from './errors';
import { rawSyscall, syscall } from './syscall';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const PATH_MAX = 107;

function encodePath(path: string): Buffer {
  const name = Buffer.from(path);
  if (name.length > PATH_MAX) throw new RangeError(`${path} is too long for a socket`);
  return Buffer.concat([Buffer.from([AF_UNIX, 0]), name, Buffer.alloc(1)]);
}

/** A connected pair, close-on-exec; the caller closes both. */
export function streamPair(): [number, number] {
  const pair = new Int32Array(2);
  syscall('socketpair', AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
  return [pair[0]!, pair[1]!];
}

/** Listens under a name that is free. The caller closes the socket and removes the name. */
export function unixListen(path: string): number {
  const address = encodePath(path);
  const socket = syscall('socket', AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bound = rawSyscall('bind', socket, address, address.length);
  if (bound < 0) {
    syscall('close', socket);
    throw new SyscallError(`bind(${path})`, -bound);
  }
  syscall('listen', socket, 1);
  return socket;
}

/** Undefined when nobody listens there. */
export function unixConnect(path: string): number | undefined {
  const address = encodePath(path);
  const socket = syscall('socket', AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const result = rawSyscall('connect', socket, address, address.length);
  if (result === 0) return socket;
  syscall('close', socket);
  // ENOENT, ECONNREFUSED.
  if (result === -2 || result === -111) return undefined;
  throw new SyscallError(`connect(${path})`, -result);
}

/** The name that a listener gave to bind(2), as who has connected with it sees it: no more than that. */
export function unixPeerName(socket: number): string {
  const address = Buffer.alloc(2 + PATH_MAX + 1);
  const length = new Int32Array([address.length]);
  syscall('getpeername', socket, address, length);
  const end = address.indexOf(0, 2);
  return address.toString('latin1', 2, end < 0 ? Math.min(length[0]!, address.length) : end);
}
