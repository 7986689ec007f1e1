/** Stream sockets, blocking: what the synchronous engine talks to other machines with. man 7 ip, ipv6, tcp, socket. */
import { isIPv4, isIPv6 } from 'node:net';
import { SyscallError } from './errors';
import { rawSyscall, syscall } from './syscall';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_KEEPALIVE = 9;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const MSG_NOSIGNAL = 0x4000;
const MSG_MORE = 0x8000;
const EINTR = 4;
const EAGAIN = 11;
const EINPROGRESS = 115;
const ETIMEDOUT = 110;
const ENODATA = 61;
/** struct sockaddr_in6; that of IPv4 has 16 bytes. */
const SOCKADDR_BYTES = 28;
const KEEPALIVE_IDLE_S = 30;
const KEEPALIVE_INTERVAL_S = 10;
const KEEPALIVE_PROBES = 6;

/** A numeric address of IPv4 or IPv6. */
export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

/** `struct sockaddr_in` or `sockaddr_in6`. */
export function encodeSocketAddress({ address, port }: SocketAddress): Buffer {
  if (isIPv4(address)) {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt16LE(AF_INET, 0);
    bytes.writeUInt16BE(port, 2);
    Buffer.from(address.split('.').map(Number)).copy(bytes, 4);
    return bytes;
  }
  if (!isIPv6(address)) throw new RangeError(`${address} is no numeric address`);
  const bytes = Buffer.alloc(SOCKADDR_BYTES);
  bytes.writeUInt16LE(AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  ipv6Words(address).forEach((word, index) => {
    bytes.writeUInt16BE(word, 8 + 2 * index);
  });
  return bytes;
}

/** The eight words of an address that isIPv6() takes; a scope (`%eth0`) is not heeded. */
function ipv6Words(address: string): number[] {
  const [plain] = address.split('%') as [string];
  // The last 32 bits may be written as IPv4.
  const text = plain.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)].map((word) => word.toString(16)).join(':'),
  );
  const words = (part: string) =>
    part
      .split(':')
      .filter((word) => word !== '')
      .map((word) => Number.parseInt(word, 16));
  const [head = '', tail] = text.split('::');
  const front = words(head);
  if (tail === undefined) return front;
  const back = words(tail);
  return [...front, ...Array.from({ length: 8 - front.length - back.length }, () => 0), ...back];
}

export function decodeSocketAddress(bytes: Buffer): SocketAddress {
  const port = bytes.readUInt16BE(2);
  if (bytes.readUInt16LE(0) === AF_INET) return { address: [...bytes.subarray(4, 8)].join('.'), port };
  const words = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(8 + 2 * index).toString(16));
  return { address: words.join(':'), port };
}

function streamSocket(bytes: Buffer): number {
  return syscall('socket', bytes.readUInt16LE(0), SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
}

/** Connects within `seconds`, or throws; the caller closes the socket. */
export function tcpConnect(to: SocketAddress, seconds: number): number {
  const bytes = encodeSocketAddress(to);
  const socket = streamSocket(bytes);
  limitSendTime(socket, seconds);
  for (;;) {
    const result = rawSyscall('connect', socket, bytes, bytes.length);
    // The call goes on in the background, and is waited for by asking again: man 2 connect.
    if (result === -EINTR || result === -114) continue;
    if (result === 0 || result === -106) return socket;
    syscall('close', socket);
    // What SO_SNDTIMEO ends is told as EINPROGRESS.
    throw new SyscallError(`connect(${to.address}:${to.port})`, result === -EINPROGRESS ? ETIMEDOUT : -result);
  }
}

/** Listens; port 0 lets the kernel choose. The caller closes the socket. */
export function tcpListen(at: SocketAddress): { readonly socket: number; readonly port: number } {
  const bytes = encodeSocketAddress(at);
  const socket = streamSocket(bytes);
  try {
    syscall('setsockopt', socket, SOL_SOCKET, SO_REUSEADDR, new Int32Array([1]), 4);
    const bound = rawSyscall('bind', socket, bytes, bytes.length);
    if (bound < 0) throw new SyscallError(`bind(${at.address}:${at.port})`, -bound);
    syscall('listen', socket, 1);
    return { socket, port: socketName(socket).port };
  } catch (error) {
    syscall('close', socket);
    throw error;
  }
}

/** Own address of an internet socket. */
export function socketName(socket: number): SocketAddress {
  const bytes = Buffer.alloc(SOCKADDR_BYTES);
  syscall('getsockname', socket, bytes, new Int32Array([bytes.length]));
  return decodeSocketAddress(bytes);
}

/** The next connection, blocking; the caller closes it. */
export function acceptConnection(listener: number): { readonly socket: number; readonly peer: Buffer } {
  for (;;) {
    const peer = Buffer.alloc(SOCKADDR_BYTES);
    const length = new Int32Array([peer.length]);
    const result = rawSyscall('accept4', listener, peer, length, SOCK_CLOEXEC);
    // A connection that was reset before it was taken is none: man 2 accept.
    if (result === -EINTR || result === -103) continue;
    if (result < 0) throw new SyscallError(`accept4(${listener})`, -result);
    return { socket: result, peer: peer.subarray(0, length[0]!) };
  }
}

/** A call that sends or connects fails with EAGAIN when so much time has passed in it. */
export function limitSendTime(socket: number, seconds: number): void {
  syscall('setsockopt', socket, SOL_SOCKET, SO_SNDTIMEO, new BigInt64Array([BigInt(seconds), 0n]), 16);
}

/** A call that receives fails with EAGAIN when nothing has come for so long. */
export function limitReceiveSeconds(socket: number, seconds: number): void {
  syscall('setsockopt', socket, SOL_SOCKET, SO_RCVTIMEO, new BigInt64Array([BigInt(seconds), 0n]), 16);
}

/** Small messages go at once, and a peer whose machine is gone is noticed. Sockets of other families are left alone. */
export function tuneConnection(socket: number): void {
  const set = (level: number, option: number, value: number) =>
    rawSyscall('setsockopt', socket, level, option, new Int32Array([value]), 4);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
  set(IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
  set(IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

/** Sends all, or throws. `more`: something follows at once, and goes with it. */
export function sendFull(socket: number, bytes: Buffer, more = false): void {
  for (let done = 0; done < bytes.length; ) {
    const rest = bytes.subarray(done);
    const flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
    const result = rawSyscall('sendto', socket, rest, rest.length, flags, null, 0);
    if (result === -EINTR) continue;
    if (result < 0) throw new SyscallError(`sendto(${socket}, ${rest.length} bytes)`, timedOut(result));
    done += result;
  }
}

/**
 * Fills `bytes`; false when the stream ends before the first of them.
 * @throws SyscallError ENODATA when it ends later, ETIMEDOUT after limitReceiveSeconds()
 */
export function receiveFull(socket: number, bytes: Buffer): boolean {
  for (let done = 0; done < bytes.length; ) {
    const rest = bytes.subarray(done);
    const result = rawSyscall('recvfrom', socket, rest, rest.length, 0, null, null);
    if (result === -EINTR) continue;
    if (result < 0) throw new SyscallError(`recvfrom(${socket}, ${rest.length} bytes)`, timedOut(result));
    if (result === 0 && done === 0) return false;
    if (result === 0) throw new SyscallError(`recvfrom(${socket}, ${rest.length} bytes)`, ENODATA);
    done += result;
  }
  return true;
}

function timedOut(result: number): number {
  return result === -EAGAIN ? ETIMEDOUT : -result;
}
