/** Gives pages to who restores lazily: it asks for runs, and gets as many pages as are stored there in one piece. */
import { errnoName, POLL, poll, rawSyscall, receiveFull, SyscallError, sendFull } from '@crts/native-syscalls';
import type { Connection } from './client';
import { badRange, COMMAND, decodeRecord, encodeRecord, PAGE, type PageRecord, RECORD_BYTES } from './codec';
import { badRecord, connectionLost, cutOff, noSuchPages } from './errors';
import type { Progress } from './progress';

const PAGE_BYTES = 4096n;
const ID_MAX = 0xffff_ffffn;
const GOODBYE_MS = 5000;
const EINTR = 4;

/** Where served pages come from. */
export interface PageProvider {
  /**
   * How many bytes from `start` on, at most `lengthBytes`, it can give in one piece; 0 when it has none.
   */
  available(id: number, start: bigint, lengthBytes: bigint): bigint;
  /** Sends what available() promised. */
  send(socket: number, id: number, start: bigint, lengthBytes: bigint): void;
}

/** Serves one restore until it says that it has all. Throws CrtsError, also when the connection just ends. */
export function servePages(
  { socket, peer, reason, isBorrowed = false }: Connection,
  provider: PageProvider,
  progress?: Progress,
): bigint {
  const bytes = Buffer.alloc(RECORD_BYTES);
  let total = 0n;
  const guard = <T>(during: string, action: () => T): T => {
    try {
      return action();
    } catch (error) {
      if (error instanceof SyscallError) throw connectionLost(peer, during, error.errno);
      throw error;
    }
  };
  try {
    for (;;) {
      if (!guard('waiting for requests', () => receiveFull(socket, bytes)))
        throw cutOff(peer, 'before it had said that it has all pages', reason?.());
      const record = decodeRecord(bytes);
      if (record.command === COMMAND.close || record.command === COMMAND.forceClose) break;
      if (record.command !== COMMAND.get)
        throw badRecord(peer, `command ${record.command} is none that a lazy restore sends`);
      total += guard('sending pages', () => serve(socket, peer, record, provider, progress));
    }
    guard('ending', () => sendFull(socket, Buffer.alloc(4)));
    if (!isBorrowed) poll([{ fd: socket, events: POLL.in | POLL.peerClosed }], GOODBYE_MS);
    return total;
  } finally {
    progress?.end();
  }
}

function serve(socket: number, peer: string, record: PageRecord, provider: PageProvider, progress?: Progress): bigint {
  const { vaddr, dst, pages } = record;
  const bad = badRange(record);
  if (bad !== undefined) throw badRecord(peer, bad);
  if (dst > ID_MAX) throw badRecord(peer, `0x${dst.toString(16)} is no pid`);
  const length = provider.available(Number(dst), vaddr, pages * PAGE_BYTES);
  if (length === 0n) throw noSuchPages(peer, `0x${vaddr.toString(16)} of pid ${dst}`);
  const answer = { command: COMMAND.addFlags, flags: PAGE.present, pages: length / PAGE_BYTES, vaddr, dst };
  sendFull(socket, encodeRecord(answer), true);
  provider.send(socket, Number(dst), vaddr, length);
  progress?.add(length);
  return length;
}

/** Sends a stretch of a file inside the kernel. */
export function sendFileRange(socket: number, fd: number, offset: bigint, lengthBytes: bigint): void {
  const position = new BigInt64Array([offset]);
  for (let left = lengthBytes; left > 0n; ) {
    const sent = rawSyscall('sendfile', socket, fd, position, left);
    if (sent === -EINTR) continue;
    // The length of the file was checked before; who cuts it now makes the stream useless.
    if (sent <= 0) throw new SyscallError('sendfile', sent === 0 ? 5 : -sent, errnoName(-sent));
    left -= BigInt(sent);
  }
}
