/** Messages that wait in a socket, looked at and left there: recv(2) with MSG_PEEK, SO_PEEK_OFF. */
import { type Credentials, closeFd } from '@crts/native-syscalls';
import { errorBeforeData, messageTooLarge, unreadable } from './errors';
import { SHUTDOWN, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM } from './sockets';
import { isHidden, type Piece, type Urgency, withUrgent } from './urgent';

export interface QueuedMessage {
  readonly data: Buffer;
  readonly sender?: Buffer | undefined;
  readonly credentials?: Credentials | undefined;
  /** Descriptors of the engine for those that it brings. */
  readonly rights: readonly number[];
  /** `URGENT` of urgent.ts. */
  readonly urgent?: number | undefined;
}

/** A message looked at with little room: `sizeBytes` is what it has. */
export type Peeked = QueuedMessage & { readonly sizeBytes: number };

/** Looks at up to `count` messages from byte `offset` on; undefined when nobody may look (a rehearsal). */
export type Look = (queue: QueueFacts, offset: number, count: number, room: number) => readonly Peeked[] | undefined;

export interface QueueFacts {
  readonly pid: number;
  /** Number in the task, -1 when it is in flight itself. */
  readonly fd: number;
  /** The engine's duplicate. */
  readonly local: number;
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
  /** SO_PASSPIDFD. */
  readonly passesProcesses: boolean;
  readonly urgent: Urgency;
}

export const POLL = { IN: 1, PRI: 2, ERR: 8 } as const;

/** A program of the agent has 1 MiB for everything: so much for the messages of one. */
const BATCH_BYTES = 880 * 1024;
/** net.core.wmem_max and with it the largest message, unless an administrator raised it. */
const MESSAGE_BYTES = 216 * 1024;
const BATCH_MESSAGES = 32;
const MESSAGES_MAX = 1_000_000;

export function peekQueue(queue: QueueFacts, look: Look): readonly QueuedMessage[] {
  if (isEmpty(queue)) return [];
  // __skb_try_recv_datagram(), net/core/datagram.c, tells the error first and clears it; a stream is not asked past its end.
  if (queue.type !== SOCK_STREAM && (queue.events & POLL.ERR) !== 0) throw errorBeforeData(queue);
  return queue.type === SOCK_STREAM ? peekStream(queue, look) : peekMessages(queue, look);
}

/** Whether a queue is empty, from what can be asked without touching it. A message without bytes shows in poll(2) alone. */
function isEmpty({ type, events, shutdown, waitingBytes, urgent }: QueueFacts): boolean {
  if (waitingBytes > 0 || urgent.isNext) return false;
  const isEndSeen = (shutdown & SHUTDOWN.READ) !== 0 || (events & POLL.ERR) !== 0;
  return type === SOCK_STREAM || isEndSeen || (events & POLL.IN) === 0;
}

/**
 * A look ends behind the bytes that bring descriptors. Where these begin cannot be seen: MSG_PEEK tells of the next descriptors in the queue
 * whatever its size (unix_stream_read_generic()). `separate` decides.
 */
function peekStream(queue: QueueFacts, look: Look): readonly QueuedMessage[] {
  const pieces: Piece[] = [];
  const shownBytes = queue.waitingBytes - (isHidden(queue.urgent) ? 1 : 0);
  for (let done = 0; done < shownBytes; ) {
    const room = Math.min(shownBytes - done, BATCH_BYTES);
    const batch = look(queue, done, 1, room);
    if (batch === undefined) return [];
    const [message] = batch;
    if (message === undefined || message.data.length === 0) throw unreadable(queue, 'EAGAIN');
    pieces.push({ ...message, isShort: message.data.length < room });
    done += message.data.length;
  }
  return withUrgent(pieces, queue);
}

/**
 * SO_PEEK_OFF counts bytes: the kernel goes on behind a message without bytes because it marks it when it is looked at
 * (skb->peeked, net/core/datagram.c). A mark stays: such a message is seen by one dump only.
 */
function peekMessages(queue: QueueFacts, look: Look): QueuedMessage[] {
  const messages: QueuedMessage[] = [];
  let offset = 0;
  let room = queue.type === SOCK_SEQPACKET ? Math.max(queue.waitingBytes, 1) : MESSAGE_BYTES;
  while (messages.length < MESSAGES_MAX) {
    if (room > BATCH_BYTES) throw messageTooLarge(queue, room);
    const count = Math.max(1, Math.min(BATCH_MESSAGES, Math.floor(BATCH_BYTES / (room + 1024))));
    const batch = look(queue, offset, count, room);
    if (batch === undefined) return [];
    const cut = batch.findIndex(({ sizeBytes }) => sizeBytes > room);
    const whole = cut < 0 ? batch : batch.slice(0, cut);
    for (const message of cut < 0 ? [] : batch.slice(cut)) for (const fd of message.rights) closeFd(fd);
    for (const message of whole) {
      if (isEndOfSeqpacket(queue, message, offset)) return messages;
      messages.push(message);
      offset += message.data.length;
    }
    if (cut >= 0) room = batch[cut]!.sizeBytes;
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
