import type { PipeEntry } from '@crts/image-io';
import { type Arg, type Program, setStatusFlags } from '@crts/plugin-api';
import {
  F_SETPIPE_SZ,
  NOT_PASSED,
  O_ACCMODE,
  O_CLOEXEC,
  O_DIRECT,
  O_LARGEFILE,
  O_NONBLOCK,
  O_PATH,
  O_RDWR,
  O_WRONLY,
} from './constants';
import { notFilled, notSized } from './errors';
import type { PipeData } from './image';

const AT_FDCWD = -100;
const F_SETFL = 4;
/** What pipe2(2) gives a pipe of root, who restores. */
const MODE_MADE = 0o010600;
const PERMISSIONS = 0o7777;
const SPLICE_F_NONBLOCK = 2;
/** Bytes of one write: a few fit into a batch. */
const CHUNK = 64 * 1024;

/** Emits what makes one pipe and all descriptions of it, in the order of `entries`. */
export function makePipe(
  entries: readonly PipeEntry[],
  program: Program,
  contents: ReadonlyMap<number, PipeData>,
  scratch: number,
): readonly Arg[] {
  const pipeId = entries[0]!.pipe_id;
  const pair = program.out(8);
  // A write that does not fit must fail, and not wait.
  program.call('pipe2', [pair, O_CLOEXEC | O_NONBLOCK], { what: `make pipe:[${pipeId}]` });
  const ends = [pair.u32(0), pair.u32(4)] as const;
  const data = contents.get(pipeId);
  if (data !== undefined) fillPipe(program, ends[1], data);
  emitOwnership(program, ends[0], entries[0]!);
  const opened = openEnds(program, ends, entries, scratch);
  for (const end of ends) if (!opened.includes(end)) program.call('close', [end]);
  entries.forEach(({ flags }, index) => {
    const fd = opened[index]!;
    if ((flags & O_PATH) === 0)
      setStatusFlags(program, fd, flags, (ends as readonly Arg[]).includes(fd) ? O_NONBLOCK : flags & ~O_DIRECT);
  });
  return opened;
}

/**
 * Size, then contents: packet mode is a matter of who writes, and switched where packets begin and end. A write goes on in
 * the page of the stream before it, packet or not (pipe_write(), fs/pipe.c), so a stream that a packet follows is put in
 * by tee(2), whose buffers nothing is added to.
 */
export function fillPipe(program: Program, writer: Arg, { value, bytes }: PipeData): void {
  const { pipe_id: pipeId, size, crts_packets: packets } = value;
  if (size !== undefined)
    program.call('fcntl', [writer, F_SETPIPE_SZ, size], {
      what: `make it ${size} bytes large`,
      fail: (errno) => notSized(pipeId, size, errno),
    });
  const write = (from: number, to: number) => {
    for (let at = from; at < to; at += CHUNK) {
      const chunk = bytes.subarray(at, Math.min(to, at + CHUNK));
      program.call('write', [writer, program.bytes(chunk), chunk.length], {
        expect: chunk.length,
        what: `fill it with ${chunk.length} bytes`,
        fail: (errno) => notFilled(pipeId, errno),
      });
    }
  };
  const setPacketMode = (on: boolean) =>
    program.call('fcntl', [writer, F_SETFL, O_NONBLOCK | (on ? O_DIRECT : 0)], {
      what: on ? 'write packets' : 'write a stream',
    });
  let end = 0;
  let isPacketMode = false;
  for (const { offset, length } of packets) {
    for (let at = end; at < offset; at += CHUNK)
      teeStream(program, writer, bytes.subarray(at, Math.min(offset, at + CHUNK)), pipeId);
    if (!isPacketMode) setPacketMode(true);
    isPacketMode = true;
    write(offset, offset + length);
    end = offset + length;
  }
  if (isPacketMode) setPacketMode(false);
  write(end, bytes.length);
}

/** `bytes` are at most what a new pipe holds. */
function teeStream(program: Program, writer: Arg, bytes: Buffer, pipeId: number): void {
  const pair = program.out(8);
  const options = { expect: bytes.length, fail: (errno: string | undefined) => notFilled(pipeId, errno) };
  program.call('pipe2', [pair, O_CLOEXEC | O_NONBLOCK], { what: 'make a pipe to fill it from' });
  program.call('write', [pair.u32(4), program.bytes(bytes), bytes.length], options);
  program.call('tee', [pair.u32(0), writer, bytes.length, SPLICE_F_NONBLOCK], options);
  program.call('close', [pair.u32(0)]);
  program.call('close', [pair.u32(4)]);
}

/** Who may open the pipe again through /proc/PID/fd; images of CRIU do not say, so it stays root's then. */
function emitOwnership(program: Program, fd: Arg, { crts_uid: uid, crts_gid: gid, crts_mode: mode }: PipeEntry): void {
  if (uid !== undefined && gid !== undefined && (uid !== 0 || gid !== 0))
    program.call('fchown', [fd, uid, gid], { what: `give it to ${uid}:${gid}` });
  if (mode !== undefined && mode !== MODE_MADE)
    program.call('fchmod', [fd, mode & PERMISSIONS], { what: `permissions 0${(mode & PERMISSIONS).toString(8)}` });
}

/**
 * pipe2(2) makes one description of each end; every other one was opened through /proc, which also shows in O_LARGEFILE
 * (force_o_largefile() in open(2), nothing in pipe2(2)).
 */
function openEnds(
  program: Program,
  ends: readonly [Arg, Arg],
  entries: readonly PipeEntry[],
  scratch: number,
): readonly Arg[] {
  const opened: Arg[] = [];
  let isNamed = false;
  for (const { flags, pipe_id: pipeId } of entries) {
    const end = ends[flags & O_WRONLY]!;
    if ((flags & (O_LARGEFILE | O_PATH)) === 0 && (flags & O_ACCMODE) !== O_RDWR && !opened.includes(end)) {
      opened.push(end);
      continue;
    }
    if (!isNamed) program.call('dup3', [ends[0], scratch, O_CLOEXEC], { what: 'give it a known number' });
    isNamed = true;
    const path = program.cstring(`/proc/self/fd/${scratch}`);
    opened.push(
      program.call('openat', [AT_FDCWD, path, flags & ~NOT_PASSED, 0], { what: `open pipe:[${pipeId}] again` }),
    );
  }
  if (isNamed) program.call('close', [scratch]);
  return opened;
}
