/** What a pipe holds, read without taking it. */
import { closeFd, rawSyscall, syscall } from '@crts/native-syscalls';
import type { FdFacts } from '@crts/plugin-api';
import { F_GETPIPE_SZ, F_SETPIPE_SZ, O_CLOEXEC, O_NONBLOCK, PAGE } from './constants';
import { notCopied, notificationQueue } from './errors';

const FIONREAD = 0x541b;
const IOC_WATCH_QUEUE_SET_SIZE = 0x5760;
const SPLICE_F_NONBLOCK = 2;
const POLLERR = 8;
const POLLHUP = 16;
const EINTR = 4;
const EBUSY = 16;
const EINVAL = 22;

/** A stretch of the contents that is read alone, however much is asked for. */
export interface Packet {
  readonly offset: number;
  readonly length: number;
}

export interface Contents {
  readonly bytes: Buffer;
  readonly packets: readonly Packet[];
}

const EMPTY: Contents = { bytes: Buffer.alloc(0), packets: [] };

/** Capacity in bytes. */
export function pipeSize(fd: number): number {
  return syscall('fcntl', fd, F_GETPIPE_SZ, 0);
}

/** Nobody has the other end: pipe_poll(), fs/pipe.c, tells readers by POLLHUP and writers by POLLERR. */
export function isAlone(fd: number): boolean {
  const pollfd = Buffer.alloc(8);
  pollfd.writeInt32LE(fd, 0);
  // A signal of the engine's own interrupts also a look that does not wait: do_poll(), fs/select.c.
  while (rawSyscall('poll', pollfd, 1, 0) === -EINTR);
  return (pollfd.readInt16LE(6) & (POLLERR | POLLHUP)) !== 0;
}

/**
 * A pipe made with O_NOTIFICATION_PIPE says so nowhere, but answers this call, which asks for an impossible size:
 * watch_queue_set_size(), kernel/watch_queue.c.
 */
export function refuseNotificationQueue(fd: FdFacts): void {
  const answer = rawSyscall('ioctl', fd.local, IOC_WATCH_QUEUE_SET_SIZE, 0);
  if (answer === -EBUSY || answer === -EINVAL) throw notificationQueue(fd.pid, fd.fd, fd.link);
}

/** How much is in it; every end may ask. */
export function waitingBytes(fd: number): number {
  const available = new Int32Array(1);
  syscall('ioctl', fd, FIONREAD, available);
  return available[0]!;
}

/** tee(2) duplicates buffers with their packet marks; `fd.local` must be open for reading. */
export function peekContents(fd: FdFacts, sizeBytes: number): Contents {
  const total = waitingBytes(fd.local);
  if (total === 0) return EMPTY;
  const plain = withCopy(fd, sizeBytes, total, (copy) => readStream(copy, total));
  if (plain !== undefined) return { bytes: plain, packets: [] };
  return withCopy(fd, sizeBytes, total, readBuffers);
}

interface Copy {
  readonly read: number;
  readonly write: number;
}

function withCopy<T>(fd: FdFacts, sizeBytes: number, total: number, use: (copy: Copy) => T): T {
  // With room for one buffer more, which readStream() needs.
  const copy = makePipe(sizeBytes + PAGE, sizeBytes);
  try {
    const copied = rawSyscall('tee', fd.local, copy.write, total, SPLICE_F_NONBLOCK);
    if (copied !== total) throw notCopied(fd.pid, fd.fd, fd.link, total, copied);
    return use(copy);
  } finally {
    closePipe(copy);
  }
}

/** All bytes, if no buffer is a packet: a read ends with a packet, so it does not reach a byte that is put behind. */
function readStream(copy: Copy, total: number): Buffer | undefined {
  if (rawSyscall('write', copy.write, Buffer.from([0]), 1) !== 1) return undefined;
  const bytes = Buffer.alloc(total + 1);
  return read(copy.read, bytes) === total + 1 ? bytes.subarray(0, total) : undefined;
}

/** Buffer by buffer: the first is duplicated alone into a pipe of one buffer, and put to the test by a byte behind it. */
function readBuffers(copy: Copy): Contents {
  const chunks: Buffer[] = [];
  const packets: Packet[] = [];
  const probe = makePipe(PAGE, PAGE);
  try {
    let offset = 0;
    for (;;) {
      syscall('fcntl', probe.write, F_SETPIPE_SZ, PAGE);
      const length = rawSyscall('tee', copy.read, probe.write, PAGE, SPLICE_F_NONBLOCK);
      if (length <= 0) break;
      syscall('fcntl', probe.write, F_SETPIPE_SZ, 2 * PAGE);
      syscall('write', probe.write, Buffer.from([0]), 1);
      const chunk = Buffer.alloc(length + 1);
      if (read(probe.read, chunk) === length) {
        packets.push({ offset, length });
        read(probe.read, Buffer.alloc(1));
      }
      chunks.push(chunk.subarray(0, length));
      read(copy.read, Buffer.alloc(length));
      offset += length;
    }
  } finally {
    closePipe(probe);
  }
  return { bytes: Buffer.concat(chunks), packets };
}

function read(fd: number, bytes: Buffer): number {
  return rawSyscall('read', fd, bytes, bytes.length);
}

/** Sizes above fs.pipe-max-size need CAP_SYS_RESOURCE: the wanted one, or the one that is enough, or the usual one. */
function makePipe(wantedBytes: number, enoughBytes: number): Copy {
  const pair = new Int32Array(2);
  syscall('pipe2', pair, O_CLOEXEC | O_NONBLOCK);
  const copy = { read: pair[0]!, write: pair[1]! };
  if (rawSyscall('fcntl', copy.write, F_SETPIPE_SZ, wantedBytes) < 0)
    rawSyscall('fcntl', copy.write, F_SETPIPE_SZ, enoughBytes);
  return copy;
}

function closePipe(pipe: Copy): void {
  closeFd(pipe.read);
  closeFd(pipe.write);
}
