/** Pages that go to a page server: what memory they are, record by record, each followed by its bytes. */
import { openSync } from 'node:fs';
import { closeFd, preadFull, rawSyscall, SyscallError, withLent } from '@crts/native-syscalls';
import type { CrtsError, FrozenTask, PageOutlet, PageSource } from '@crts/plugin-api';
import { pagesUnreadable } from './errors';

/** Flags of sendto(2). The program of the task must get no SIGPIPE. */
const NOSIGNAL = 0x4000;
const MORE = 0x8000;
/**
 * One call sends at most this: the time that the socket allows for a call is then the time without any progress, on any line
 * that is of use.
 */
const PIECE_BYTES = 4n * 1024n * 1024n;
const ENGINE_BYTES = 1024 * 1024;
/** Of one program: its instructions are made in the engine's memory. */
const RECORDS_MAX = 4096;
const PIECES_MAX = 4096;
const EIO = 5;

export interface OutgoingRun {
  readonly start: bigint;
  readonly end: bigint;
  /** Of the pagemap entry. */
  readonly flags: number;
  /** Whether its bytes follow. */
  readonly isPresent: boolean;
  /** Whether the task itself may read it. */
  readonly readable: boolean;
}

/** The parent set of a page server: what exactly it has only the server knows, and checks. */
export const REMOTE_PARENT: PageSource = {
  files: [],
  names: [],
  lazy: [],
  lazyWithParents: [],
  runs: (start, end) => [{ addr: start, lengthBytes: end - start, fileOffset: 0n, file: 0 }],
  read: () => undefined,
};

/** The task sends its own pages, so that they are copied once; runs are in the order of their addresses. */
export function sendRuns(task: FrozenTask, runs: readonly OutgoingRun[], outlet: PageOutlet): void {
  for (const part of partsOf(runs)) {
    if (part[0]!.readable) sendByTask(task, part, outlet);
    else sendThroughEngine(task, part, outlet);
    outlet.sent(part.reduce((sum, { start, end, isPresent }) => sum + (isPresent ? end - start : 0n), 0n));
  }
}

/** Neighbours that are sent by the same hand, in portions. */
function* partsOf(runs: readonly OutgoingRun[]): Generator<readonly OutgoingRun[]> {
  let part: OutgoingRun[] = [];
  let pieces = 0n;
  for (const run of runs.flatMap(portions)) {
    const last = part.at(-1);
    const more = run.isPresent ? (run.end - run.start) / PIECE_BYTES : 0n;
    if (
      last !== undefined &&
      (last.readable !== run.readable || part.length === RECORDS_MAX || pieces + more > PIECES_MAX)
    ) {
      yield part;
      part = [];
      pieces = 0n;
    }
    part.push(run);
    pieces += more;
  }
  if (part.length > 0) yield part;
}

/** A run of terabytes is announced in portions that one program can send. */
function portions(run: OutgoingRun): OutgoingRun[] {
  const largest = PIECE_BYTES * BigInt(PIECES_MAX);
  if (!run.isPresent || run.end - run.start <= largest) return [run];
  const parts: OutgoingRun[] = [];
  for (let { start } = run; start < run.end; start += largest)
    parts.push({ ...run, start, end: start + largest < run.end ? start + largest : run.end });
  return parts;
}

function sendByTask(task: FrozenTask, runs: readonly OutgoingRun[], outlet: PageOutlet): void {
  const fail = (errno: string | undefined) => unsent(task.pid, outlet, errno);
  withLent(task, outlet.socket, (program, socket) => {
    for (const run of runs) {
      const record = outlet.record(run.start, run.end, run.flags);
      program.call('sendto', [socket, program.bytes(record), record.length, NOSIGNAL | MORE, null, 0], {
        expect: record.length,
        what: 'announce pages to the page server',
        fail,
      });
      for (let at = run.start; run.isPresent && at < run.end; at += PIECE_BYTES) {
        const length = run.end - at < PIECE_BYTES ? run.end - at : PIECE_BYTES;
        program.call('sendto', [socket, at, length, NOSIGNAL | MORE, null, 0], {
          expect: length,
          what: `send the pages at 0x${at.toString(16)}`,
          fail,
        });
      }
    }
  });
}

/** What the task itself can't read, by /proc/PID/mem, which looks at no protection. */
function sendThroughEngine(task: FrozenTask, runs: readonly OutgoingRun[], outlet: PageOutlet): void {
  const mem = openSync(`/proc/${task.hostPid}/mem`, 'r');
  const buffer = Buffer.alloc(ENGINE_BYTES);
  try {
    for (const { start, end, flags, isPresent } of runs) {
      outlet.send(outlet.record(start, end, flags), true);
      for (let at = start; isPresent && at < end; ) {
        const piece = buffer.subarray(0, Number(end - at < buffer.length ? end - at : BigInt(buffer.length)));
        try {
          preadFull(mem, piece, at);
        } catch (error) {
          throw pagesUnreadable(task.pid, `at 0x${at.toString(16)}`, (error as { errno?: string }).errno);
        }
        outlet.send(piece, true);
        at += BigInt(piece.length);
      }
    }
  } finally {
    closeFd(mem);
  }
}

/** Pages that were read already. */
export function sendCopied(start: bigint, bytes: Buffer, flags: number, outlet: PageOutlet): void {
  outlet.send(outlet.record(start, start + BigInt(bytes.length), flags), true);
  outlet.send(bytes, true);
  outlet.sent(BigInt(bytes.length));
}

/** Sends a stretch of a file from where it stands, inside the kernel. */
export function sendFile(outlet: PageOutlet, fd: number, lengthBytes: number): void {
  for (let left = lengthBytes; left > 0; ) {
    const sent = rawSyscall('sendfile', outlet.socket, fd, null, Math.min(left, Number(PIECE_BYTES)));
    if (sent === -4) continue;
    // The tree is frozen: what is shorter than it was has been cut by somebody outside.
    if (sent <= 0) {
      const error = new SyscallError('sendfile', sent === 0 ? EIO : -sent);
      throw outlet.failure(error.errno) ?? error;
    }
    left -= sent;
    outlet.sent(BigInt(sent));
  }
}

/** Less than all was sent: a page that cannot be read, or a connection that is no more. */
function unsent(pid: number, outlet: PageOutlet, errno: string | undefined): CrtsError {
  const failure = outlet.failure(errno ?? brokenPipe(outlet.socket));
  return failure ?? pagesUnreadable(pid, 'by the task itself', errno ?? 'EFAULT');
}

const POLLOUT = 4;
const POLLERR_OR_HUP = 24;

/** What is wrong with the socket; EFAULT when nothing is. */
function brokenPipe(socket: number): string {
  const set = Buffer.alloc(8);
  set.writeInt32LE(socket, 0);
  set.writeUInt16LE(POLLOUT, 4);
  rawSyscall('poll', set, 1, 0);
  const events = set.readUInt16LE(6);
  if ((events & POLLERR_OR_HUP) !== 0) return 'EPIPE';
  return (events & POLLOUT) === 0 ? 'ETIMEDOUT' : 'EFAULT';
}
