/** Facts of all UNIX sockets of a network namespace: NETLINK_SOCK_DIAG, net/unix/diag.c, man 7 sock_diag. */
import { closeFd, rawSyscall, SyscallError, syscall } from '@crts/native-syscalls';

export interface SocketFacts {
  readonly ino: number;
  readonly type: number;
  readonly state: number;
  /** sun_path as bind(2) got it, the NUL at the end of a path included; absent for a socket without a name. */
  readonly name?: Buffer | undefined;
  /** Device and inode of the file that a path refers to. */
  readonly file?: { readonly dev: number; readonly ino: number } | undefined;
  /** Inode of the socket that it is connected to; 0 when that one is closed, or waits to be accepted. */
  readonly peer?: number | undefined;
  /** Inodes of the connecting ends that wait in a listener's queue, first come first; 0: closed meanwhile. */
  readonly waiting: readonly number[];
  /** Bytes to read (datagrams: of the first); of a listener, connections that wait. */
  readonly readQueue: number;
  /** Memory of what was sent and not read yet; of a listener, the backlog. */
  readonly writeQueue: number;
  readonly shutdown: number;
}

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST_DUMP = 0x301;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSG_HEADER = 16;
const DIAG_MESSAGE = 16;
const AF_UNIX = 1;
/** UDIAG_SHOW_NAME | VFS | PEER | ICONS | RQLEN. */
const SHOW = 0x1f;
const ATTRIBUTE = { NAME: 0, VFS: 1, PEER: 2, ICONS: 3, RQLEN: 4, SHUTDOWN: 6 } as const;
const EINTR = 4;
/** A datagram of a dump never exceeds 32 KiB: netlink_dump(), net/netlink/af_netlink.c. */
const RECEIVE_BYTES = 64 * 1024;

/** Of the engine's own network namespace, by inode. */
export function unixSockets(): Map<number, SocketFacts> {
  const socket = syscall('socket', AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  try {
    syscall('sendto', socket, request(), 40, 0, null, 0);
    const sockets = new Map<number, SocketFacts>();
    const buffer = Buffer.alloc(RECEIVE_BYTES);
    for (let isDone = false; !isDone; ) {
      const length = rawSyscall('recvfrom', socket, buffer, buffer.length, 0, null, null);
      if (length === -EINTR) continue;
      if (length <= 0) throw new SyscallError('recvfrom(NETLINK_SOCK_DIAG)', length === 0 ? 61 : -length);
      isDone = parseAnswer(buffer.subarray(0, length), sockets);
    }
    return sockets;
  } finally {
    closeFd(socket);
  }
}

function request(): Buffer {
  const bytes = Buffer.alloc(40);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(SOCK_DIAG_BY_FAMILY, 4);
  bytes.writeUInt16LE(NLM_F_REQUEST_DUMP, 6);
  bytes.writeUInt8(AF_UNIX, 16);
  // Sockets in any state.
  bytes.writeUInt32LE(0xffff_ffff, 20);
  bytes.writeUInt32LE(SHOW, 28);
  return bytes;
}

/** Adds the sockets of one datagram; true when it was the last. Throws SyscallError when the kernel answers with an error. */
export function parseAnswer(bytes: Buffer, sockets: Map<number, SocketFacts>): boolean {
  for (let at = 0; at + NLMSG_HEADER <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    const type = bytes.readUInt16LE(at + 4);
    if (type === NLMSG_DONE) return true;
    if (type === NLMSG_ERROR) throw new SyscallError('NETLINK_SOCK_DIAG of UNIX sockets', -bytes.readInt32LE(at + 16));
    if (length < NLMSG_HEADER + DIAG_MESSAGE || at + length > bytes.length) break;
    const facts = parseSocket(bytes.subarray(at + NLMSG_HEADER, at + length));
    sockets.set(facts.ino, facts);
    at += align(length);
  }
  return false;
}

function parseSocket(bytes: Buffer): SocketFacts {
  const attributes = parseAttributes(bytes.subarray(DIAG_MESSAGE));
  const word = (type: number, offset = 0) => attributes.get(type)?.readUInt32LE(offset);
  const file = attributes.get(ATTRIBUTE.VFS);
  const icons = attributes.get(ATTRIBUTE.ICONS);
  const name = attributes.get(ATTRIBUTE.NAME);
  return {
    type: bytes.readUInt8(1),
    state: bytes.readUInt8(2),
    ino: bytes.readUInt32LE(4),
    name: name === undefined || name.length === 0 ? undefined : name,
    file: file === undefined ? undefined : { ino: file.readUInt32LE(0), dev: file.readUInt32LE(4) },
    peer: word(ATTRIBUTE.PEER),
    waiting: icons === undefined ? [] : Array.from({ length: icons.length >> 2 }, (_, i) => icons.readUInt32LE(4 * i)),
    readQueue: word(ATTRIBUTE.RQLEN) ?? 0,
    writeQueue: word(ATTRIBUTE.RQLEN, 4) ?? 0,
    shutdown: attributes.get(ATTRIBUTE.SHUTDOWN)?.readUInt8(0) ?? 0,
  };
}

/** struct nlattr: length with header, type; padded to four. */
function parseAttributes(bytes: Buffer): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) break;
    attributes.set(bytes.readUInt16LE(at + 2), Buffer.from(bytes.subarray(at + 4, at + length)));
    at += align(length);
  }
  return attributes;
}

function align(length: number): number {
  return (length + 3) & ~3;
}
