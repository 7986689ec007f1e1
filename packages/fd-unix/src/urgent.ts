/** Out-of-band data of a stream (MSG_OOB): one byte that is read out of turn, and the mark at which others stop until they are past it. */
import { rawSyscall } from '@crts/native-syscalls';
import { urgentData } from './errors';
import { type Peeked, POLL, type QueuedMessage, type QueueFacts } from './queue';

const MSG_OOB = 0x1;
const MSG_PEEK = 0x2;
const MSG_DONTWAIT = 0x40;
const SIOCATMARK = 0x8905;

/** `urgent` of a message in the images. */
export const URGENT = {
  /** Its one byte waits to be read with MSG_OOB. */
  WAITS: 1,
  /** No byte: it was read so, and the mark is left. */
  READ: 2,
} as const;

export interface Urgency {
  /** EPOLLPRI: an urgent byte waits. */
  readonly isWaiting: boolean;
  /** SIOCATMARK: the mark, read or not, is the next in the queue. */
  readonly isNext: boolean;
  /** The byte, where it is not read in turn (SO_OOBINLINE). */
  readonly byte?: number | undefined;
}

export const NOT_URGENT: Urgency = { isWaiting: false, isNext: false };

/** Asks without touching it. A kernel without out-of-band data (CONFIG_AF_UNIX_OOB) has none. */
export function urgencyOf(local: number, events: number): Urgency {
  const isWaiting = (events & POLL.PRI) !== 0;
  const isNext = new Int32Array(1);
  const byte = Buffer.alloc(1);
  const isTold = rawSyscall('ioctl', local, SIOCATMARK, isNext) === 0 && isNext[0] !== 0;
  const got = isWaiting ? rawSyscall('recvfrom', local, byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT, null, null) : 0;
  return { isWaiting, isNext: isTold, byte: got === 1 ? byte[0] : undefined };
}

/** A byte that MSG_PEEK steps over: manage_oob(), net/unix/af_unix.c. */
export function isHidden({ isWaiting, isNext, byte }: Urgency): boolean {
  return isWaiting && isNext && byte !== undefined;
}

/** A look at a stream; it was given room for more, or not. */
export type Piece = Peeked & { readonly isShort: boolean };

/**
 * Looks stop at the mark: in front of the byte that waits, or where one was that is read. They stop behind descriptors too, and where
 * another writer begins (SO_PASSCRED), so only a stop that has no such reason is the mark. Behind the last byte nothing shows it.
 */
export function withUrgent(pieces: readonly Piece[], queue: QueueFacts): readonly QueuedMessage[] {
  const { urgent } = queue;
  if (!urgent.isWaiting) {
    const marked = pieces.flatMap((piece, index) => (isStop(index, pieces, queue) ? [piece, MARK] : [piece]));
    return urgent.isNext ? [MARK, ...marked] : marked;
  }
  if (isHidden(urgent)) return [{ data: Buffer.from([urgent.byte!]), rights: [], urgent: URGENT.WAITS }, ...pieces];
  const stops = urgent.isNext ? [-1] : pieces.flatMap((_piece, index) => (isStop(index, pieces, queue) ? [index] : []));
  const behind = pieces[stops[0]! + 1];
  if (stops.length !== 1 || behind === undefined || behind.rights.length > 0) throw urgentData(queue);
  const isByteAsTold = urgent.byte === undefined || urgent.byte === behind.data[0];
  if (!isByteAsTold) throw urgentData(queue);
  const first = { ...behind, data: behind.data.subarray(0, 1), urgent: URGENT.WAITS };
  const rest = behind.data.length > 1 ? [{ ...behind, data: behind.data.subarray(1) }] : [];
  return pieces.flatMap((piece) => (piece === behind ? [first, ...rest] : [piece]));
}

const MARK: QueuedMessage = { data: Buffer.alloc(0), rights: [], urgent: URGENT.READ };

function isStop(index: number, pieces: readonly Piece[], { passesCredentials, passesProcesses }: QueueFacts): boolean {
  const [piece, next] = [pieces[index]!, pieces[index + 1]];
  if (next === undefined || !piece.isShort || piece.rights.length > 0) return false;
  // Messages of several writers are kept apart, and without their credentials nobody can tell (unix_skb_scm_eq()).
  if (!passesCredentials) return !passesProcesses;
  const [one, other] = [piece.credentials, next.credentials];
  return one?.pid === other?.pid && one?.uid === other?.uid && one?.gid === other?.gid;
}
