/**
 * Messages to and from an agent: struct agent_request and struct agent_reply. The structures around them are laid out once: a
 * restore of a thousand tasks rings ten thousand times.
 */
import { addon } from '../addon';
import { SyscallError } from '../errors';
import { tellObserver } from '../socket';
import { rawSyscall } from '../syscall';
import { MAX_FDS, REPLY_SIZE, REQUEST_SIZE } from './protocol';

const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const EINTR = 4;
const EAGAIN = 11;
const EPIPE = 32;
const ECONNRESET = 104;
const CMSG_HEADER = 16;

/** Where each lies in the one buffer: the messages, struct iovec, struct msghdr, and struct cmsghdr with its descriptors. */
const REQUEST_AT = 0;
const REPLY_AT = 32;
const IOV_AT = 64;
const HEADER_AT = 128;
const CONTROL_AT = 256;

class Room {
  readonly words = new BigUint64Array((CONTROL_AT + CMSG_HEADER + 4 * MAX_FDS + 8) >> 3);
  readonly halves = new Int32Array(this.words.buffer);
  /** An address of a process is below 2 ** 47. */
  readonly address = Number(addon().addressOf(this.words.buffer as ArrayBuffer));

  constructor() {
    this.words[IOV_AT / 8] = BigInt(this.address + REQUEST_AT);
    this.words[IOV_AT / 8 + 1] = BigInt(REQUEST_SIZE);
    this.words[HEADER_AT / 8 + 2] = BigInt(this.address + IOV_AT);
    this.words[HEADER_AT / 8 + 3] = 1n;
    this.words[HEADER_AT / 8 + 4] = BigInt(this.address + CONTROL_AT);
    this.halves[CONTROL_AT / 4 + 2] = SOL_SOCKET;
    this.halves[CONTROL_AT / 4 + 3] = SCM_RIGHTS;
  }
}

let known: Room | undefined;

function room(): Room {
  known ??= new Room();
  return known;
}

/** Sends a request, and descriptors with it, which stay open here. False when the agent is gone. */
export function sendRequest(socket: number, kind: number, a: bigint, b: bigint, fds: readonly number[] = []): boolean {
  const { words, halves, address } = room();
  words[REQUEST_AT / 8] = BigInt(kind);
  words[REQUEST_AT / 8 + 1] = a;
  words[REQUEST_AT / 8 + 2] = b;
  const control = fds.length === 0 ? 0 : CMSG_HEADER + 4 * fds.length;
  halves[CONTROL_AT / 4] = control;
  for (let i = 0; i < fds.length; i++) halves[(CONTROL_AT + CMSG_HEADER) / 4 + i] = fds[i]!;
  // What follows the last descriptor is padding: CMSG_SPACE(3).
  halves[HEADER_AT / 4 + 10] = (control + 7) & ~7;
  for (;;) {
    const result = rawSyscall('sendmsg', socket, address + HEADER_AT, MSG_NOSIGNAL);
    if (result === -EINTR) continue;
    if (result === -EPIPE || result === -ECONNRESET) return false;
    if (result < 0) throw new SyscallError(`sendmsg(${socket})`, -result);
    return true;
  }
}

/** A reply of an agent. */
export interface Reply {
  readonly kind: number;
  readonly done: number;
}

/** Waits for a reply; undefined when the agent is gone. `lookAfter` is called each time that limitReceiveTime() is over. */
export function receiveReply(socket: number, lookAfter?: () => void): Reply | undefined {
  const { words, address } = room();
  for (;;) {
    const result = rawSyscall('recvfrom', socket, address + REPLY_AT, REPLY_SIZE, MSG_CMSG_CLOEXEC, null, null);
    if (result === -EINTR) continue;
    if (result === -EAGAIN && lookAfter !== undefined) {
      tellObserver();
      lookAfter();
      continue;
    }
    if (result === -ECONNRESET) return undefined;
    if (result < 0) throw new SyscallError(`recvfrom(${socket})`, -result);
    if (result !== REPLY_SIZE) return undefined;
    return { kind: Number(words[REPLY_AT / 8]), done: Number(words[REPLY_AT / 8 + 1]) };
  }
}
