/** Messages that wait in a socket, looked at and left there: recv(2) with MSG_PEEK, SO_PEEK_OFF. */
import { errnoName } from '@crts/native-syscalls';
import type { FrozenTask, Output, Program, Result } from '@crts/plugin-api';
import { errorBeforeData, messageTooLarge, unreadable, urgentData } from './errors';
import { SCM_CREDENTIALS, SHUTDOWN, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET } from './sockets';

export interface QueuedMessage {
  readonly data: Buffer;
  readonly sender?: Buffer | undefined;
  readonly credentials?: { readonly pid: number; readonly uid: number; readonly gid: number } | undefined;
}

export interface QueueFacts {
  readonly pid: number;
  readonly fd: number;
  readonly type: number;
  readonly shutdown: number;
  /** poll(2) of the socket. */
  readonly events: number;
  /** SIOCINQ: all bytes, of a datagram socket those of the first message. */
  readonly waitingBytes: number;
  /** SO_PEEK_OFF as the program has it. */
  readonly peekOffset: number;
  /** SO_PASSCRED: messages come with the credentials of their senders. */
  readonly passesCredentials: boolean;
}

export const POLL = { IN: 1, PRI: 2, ERR: 8 } as const;

const SO_PEEK_OFF = 42;
const MSG_PEEK = 0x2;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const EAGAIN = 11n;
/** struct msghdr and struct iovec, 64-bit. */
const MSGHDR = { SIZE: 56, NAME: 0, NAME_LENGTH: 8, IOV: 16, IOV_COUNT: 24, CONTROL: 32, CONTROL_LENGTH: 40 } as const;
const IOVEC_SIZE = 16;
/** A sockaddr_un whose path has no NUL, which the kernel adds. */
const ADDRESS_ROOM = 2 + 108 + 1;
/**
 * CMSG_SPACE(sizeof(struct ucred)). Credentials come first and fill it (__scm_recv_common(), net/core/scm.c): nothing that installs a
 * descriptor in the task (SCM_RIGHTS, SCM_PIDFD) finds room. Without SO_PASSCRED there must be none at all.
 */
const CONTROL_ROOM = 32;
/** A program of the agent has 1 MiB for everything: so much for the messages of one. */
const BATCH_BYTES = 880 * 1024;
/** net.core.wmem_max and with it the largest message, unless an administrator raised it. */
const MESSAGE_BYTES = 216 * 1024;
const BATCH_MESSAGES = 32;
const MESSAGES_MAX = 1_000_000;

/**
 * The agent looks at the queue, and each of its programs puts SO_PEEK_OFF back before it ends: an engine that dies meanwhile leaves the
 * socket as it was. Descriptors in flight stay there.
 */
export function peekQueue(task: FrozenTask, queue: QueueFacts): QueuedMessage[] {
  if ((queue.events & POLL.PRI) !== 0) throw urgentData(queue);
  if (isEmpty(queue)) return [];
  // __skb_try_recv_datagram(), net/core/datagram.c, tells the error first and clears it; a stream is not asked past its end.
  if (queue.type !== SOCK_STREAM && (queue.events & POLL.ERR) !== 0) throw errorBeforeData(queue);
  return queue.type === SOCK_STREAM ? peekStream(task, queue) : peekMessages(task, queue);
}

/** Whether a queue is empty, from what can be asked without touching it. A message without bytes shows in poll(2) alone. */
function isEmpty({ type, events, shutdown, waitingBytes }: QueueFacts): boolean {
  if (waitingBytes > 0) return false;
  const isEndSeen = (shutdown & SHUTDOWN.READ) !== 0 || (events & POLL.ERR) !== 0;
  return type === SOCK_STREAM || isEndSeen || (events & POLL.IN) === 0;
}

function peekStream(task: FrozenTask, queue: QueueFacts): QueuedMessage[] {
  const messages: QueuedMessage[] = [];
  for (let done = 0; done < queue.waitingBytes; ) {
    const room = Math.min(queue.waitingBytes - done, BATCH_BYTES);
    const batch = peekBatch(task, queue, done, 1, room);
    if (batch === undefined) return [];
    const [message] = batch;
    if (message === undefined || message.data.length === 0) throw unreadable(queue, 'EAGAIN');
    messages.push(message);
    done += message.data.length;
  }
  return messages;
}

/**
 * SO_PEEK_OFF counts bytes: the kernel goes on behind a message without bytes because it marks it when it is looked at
 * (skb->peeked, net/core/datagram.c). A mark stays: such a message is seen by one dump only.
 */
function peekMessages(task: FrozenTask, queue: QueueFacts): QueuedMessage[] {
  const messages: QueuedMessage[] = [];
  let offset = 0;
  let room = queue.type === SOCK_SEQPACKET ? Math.max(queue.waitingBytes, 1) : MESSAGE_BYTES;
  while (messages.length < MESSAGES_MAX) {
    if (room > BATCH_BYTES) throw messageTooLarge(queue, room);
    const count = Math.max(1, Math.min(BATCH_MESSAGES, Math.floor(BATCH_BYTES / (room + 1024))));
    const batch = peekBatch(task, queue, offset, count, room);
    if (batch === undefined) return [];
    let cut: number | undefined;
    for (const message of batch) {
      if (message.sizeBytes > room) {
        cut = message.sizeBytes;
        break;
      }
      if (isEndOfSeqpacket(queue, message, offset)) return messages;
      messages.push(message);
      offset += message.data.length;
    }
    if (cut !== undefined) room = cut;
    else if (batch.length < count) return messages;
    else if (queue.type === SOCK_DGRAM) room = MESSAGE_BYTES;
  }
  throw messageTooLarge(queue, offset);
}

/** recvmsg(2) of a seqpacket socket whose other end is shut answers 0 at the end: unix_dgram_recvmsg(). */
function isEndOfSeqpacket(queue: QueueFacts, message: QueuedMessage, offset: number): boolean {
  const isShut = queue.type === SOCK_SEQPACKET && (queue.shutdown & SHUTDOWN.READ) !== 0;
  return isShut && message.data.length === 0 && offset >= queue.waitingBytes;
}

interface Peek {
  readonly header: Output;
  readonly data: Output;
  readonly address: Output;
  readonly control: Output;
  readonly result: Result;
}

type Peeked = QueuedMessage & { readonly sizeBytes: number };

/** Up to `count` messages from `offset` on; undefined when there is no agent (a rehearsal). */
function peekBatch(
  task: FrozenTask,
  queue: QueueFacts,
  offset: number,
  count: number,
  room: number,
): Peeked[] | undefined {
  let peeks: Peek[] | undefined;
  task.run((program) => {
    const setOffset = (value: number) => {
      const bytes = Buffer.alloc(4);
      bytes.writeInt32LE(value, 0);
      program.call('setsockopt', [queue.fd, SOL_SOCKET, SO_PEEK_OFF, program.bytes(bytes), 4], { expect: 'any' });
    };
    setOffset(offset);
    peeks = Array.from({ length: count }, () => emitPeek(program, queue, room));
    setOffset(queue.peekOffset);
  });
  if (peeks === undefined) return undefined;
  const messages: Peeked[] = [];
  for (const peek of peeks) {
    const { value } = peek.result;
    if (value === -EAGAIN) break;
    if (value < 0n) throw unreadable(queue, errnoName(Number(-value)));
    messages.push(readPeek(peek, Number(value), room));
  }
  return messages;
}

function emitPeek(program: Program, queue: QueueFacts, room: number): Peek {
  const header = program.out(MSGHDR.SIZE);
  const iov = program.out(IOVEC_SIZE);
  const data = program.out(Math.max(room, 8));
  const address = program.out(ADDRESS_ROOM + 1);
  const control = program.out(CONTROL_ROOM);
  program.store(iov, 0, data, 8);
  program.store(iov, 8, room, 8);
  program.store(header, MSGHDR.NAME, address, 8);
  program.store(header, MSGHDR.NAME_LENGTH, ADDRESS_ROOM, 4);
  program.store(header, MSGHDR.IOV, iov, 8);
  program.store(header, MSGHDR.IOV_COUNT, 1, 8);
  program.store(header, MSGHDR.CONTROL, control, 8);
  program.store(header, MSGHDR.CONTROL_LENGTH, queue.passesCredentials ? CONTROL_ROOM : 0, 8);
  const flags = MSG_PEEK | MSG_DONTWAIT | (queue.type === SOCK_STREAM ? 0 : MSG_TRUNC);
  const result = program.call('recvmsg', [queue.fd, header, flags], {
    expect: 'any',
    what: 'look at the next message',
  });
  return { header, data, address, control, result };
}

function readPeek({ header, data, address, control }: Peek, sizeBytes: number, room: number): Peeked {
  const head = header.read();
  const nameLength = head.readUInt32LE(MSGHDR.NAME_LENGTH);
  const controlLength = Number(head.readBigUInt64LE(MSGHDR.CONTROL_LENGTH));
  return {
    sizeBytes,
    data: Buffer.from(data.read().subarray(0, Math.min(sizeBytes, room))),
    // The family alone: the sender has no name.
    sender: nameLength > 2 ? Buffer.from(address.read().subarray(2, nameLength)) : undefined,
    credentials: credentialsIn(control.read().subarray(0, controlLength)),
  };
}

/** struct cmsghdr: length with header, level, type. */
function credentialsIn(control: Buffer): QueuedMessage['credentials'] {
  for (let at = 0; at + 16 <= control.length; ) {
    const length = Number(control.readBigUInt64LE(at));
    if (length < 16) break;
    if (control.readInt32LE(at + 8) === SOL_SOCKET && control.readInt32LE(at + 12) === SCM_CREDENTIALS)
      return {
        pid: control.readInt32LE(at + 16),
        uid: control.readUInt32LE(at + 20),
        gid: control.readUInt32LE(at + 24),
      };
    at += (length + 7) & ~7;
  }
  return undefined;
}
