/** SEQPACKET messages with descriptors: unix(7), SCM_RIGHTS. */
import { addon } from './addon';
import { CONTROL_HEADER, controlRoom } from './control-messages';
import { SyscallError } from './errors';
import { keepReachable } from './memory';
import { rawSyscall, syscall } from './syscall';

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const SO_RCVTIMEO = 20;
const EINTR = 4;
/** struct msghdr, 64-bit. */
const MSGHDR_SIZE = 56;
/** struct sockaddr_storage. */
const ADDRESS_ROOM = 128;

/** A connected pair, close-on-exec; the caller closes both. */
export function seqpacketPair(): [number, number] {
  const pair = new Int32Array(2);
  syscall('socketpair', AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
  return [pair[0]!, pair[1]!];
}

/** Sends one message. False when the peer is gone (EPIPE, ECONNRESET). The descriptors stay open here. */
export function sendMessage(socket: number, bytes: Buffer, fds: readonly number[] = []): boolean {
  const control = fds.length === 0 ? undefined : rights(fds);
  const { header, keep } = messageHeader(bytes, control);
  for (;;) {
    const result = rawSyscall('sendmsg', socket, header, MSG_NOSIGNAL);
    keepReachable(...keep);
    if (result === -EINTR) continue;
    if (result === -32 || result === -104) return false;
    if (result < 0) throw new SyscallError(`sendmsg(${socket})`, -result);
    return true;
  }
}

/** Receiving wakes up now and then, to look after the peer. */
export function limitReceiveTime(socket: number, microseconds: bigint): void {
  syscall('setsockopt', socket, SOL_SOCKET, SO_RCVTIMEO, new BigInt64Array([0n, microseconds]), 16);
}

let waiting: (() => void) | undefined;

/** `observe` is called now and then while the action waits for tasks that take their time. */
export function observingWaits<T>(observe: (() => void) | undefined, action: () => T): T {
  const before = waiting;
  waiting = observe;
  try {
    return action();
  } finally {
    waiting = before;
  }
}

/** Who does something else while tasks work says so now and then. */
export function tellObserver(): void {
  waiting?.();
}

/** What recvmsg(2) gave. */
export interface ReceivedMessage {
  /** The call's result, negative errno on failure. */
  readonly result: number;
  readonly data: Buffer;
  /** Address of the sender, struct sockaddr; empty when it has none. */
  readonly address: Buffer;
  readonly control: Buffer;
  readonly flags: number;
}

/** recvmsg(2) with room for everything. Descriptors that come are the caller's to close. */
export function receiveAll(
  socket: number,
  room: { readonly dataBytes: number; readonly controlBytes: number },
  flags: number,
): ReceivedMessage {
  const data = Buffer.alloc(Math.max(1, room.dataBytes));
  const address = Buffer.alloc(ADDRESS_ROOM);
  const control = Buffer.alloc(Math.max(8, room.controlBytes));
  const { header, keep } = messageHeader(data.subarray(0, room.dataBytes), control.subarray(0, room.controlBytes));
  header.writeBigUInt64LE(addon().addressOf(address), 0);
  header.writeUInt32LE(ADDRESS_ROOM, 8);
  let result: number;
  do result = rawSyscall('recvmsg', socket, header, flags);
  while (result === -EINTR);
  keepReachable(...keep, data, address, control);
  return {
    result,
    data: data.subarray(0, Math.max(0, Math.min(result, room.dataBytes))),
    address: address.subarray(0, result < 0 ? 0 : header.readUInt32LE(8)),
    control: control.subarray(0, result < 0 ? 0 : Number(header.readBigUInt64LE(40))),
    flags: header.readUInt32LE(48),
  };
}

function rights(fds: readonly number[]): Buffer {
  const control = controlRoom(SCM_RIGHTS, 4 * fds.length);
  for (const [index, fd] of fds.entries()) control.writeInt32LE(fd, CONTROL_HEADER + 4 * index);
  return control;
}

/** A msghdr; `keep` is what it points to, and must be reachable until the call is over. */
function messageHeader(bytes: Buffer, control: Buffer | undefined) {
  const native = addon();
  const iov = new BigUint64Array([native.addressOf(bytes), BigInt(bytes.length)]);
  const header = Buffer.alloc(MSGHDR_SIZE);
  header.writeBigUInt64LE(native.addressOf(iov), 16);
  header.writeBigUInt64LE(1n, 24);
  if (control !== undefined) {
    header.writeBigUInt64LE(native.addressOf(control), 32);
    header.writeBigUInt64LE(BigInt(control.length), 40);
  }
  return { header, keep: control === undefined ? [iov, bytes] : [iov, bytes, control] };
}
