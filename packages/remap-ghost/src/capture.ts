/** What of a deleted file goes into the images. */
import { type BigIntStats, closeSync, fstatSync, openSync, readlinkSync, writeSync } from 'node:fs';
import { encodeImage, encodeMessage, type GhostFileEntry, imageKind } from '@crts/image-io';
import { preadFull, rawSyscall } from '@crts/native-syscalls';
import { decodeName, type FdFacts, type Logger, type RemapDumpContext } from '@crts/plugin-api';
import { callOf, errnoOf } from './calls';
import {
  O_CLOEXEC,
  O_NOATIME,
  O_NONBLOCK,
  O_RDONLY,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFLNK,
  S_IFREG,
  SEEK_DATA,
  SEEK_HOLE,
} from './constants';
import { tooLarge, unreadable } from './errors';
import { typeOf } from './image';
import { type InodeFlags, readInodeFlags } from './inode-flags';
import { readXattrs } from './xattrs';

/** st_blocks counts these, whatever the filesystem: man 2 stat. */
const BLOCK = 512n;
/** The format's rule: a smaller file is stored in one piece. */
const CHUNKS_FROM = 3n * 4096n;
/** Contents are copied in steps of this size. */
const STEP = 1024 * 1024;
const ENXIO = 6;
const NANOSECONDS = 1_000_000_000n;
/** Writes `ghost-file-ID.img`. The file stands still: all that have it open are frozen, or strangers at their own risk. */
export function captureGhost(facts: FdFacts, id: number, context: RemapDumpContext): void {
  const { log, options, sink } = context;
  const path = `/proc/self/fd/${facts.local}`;
  const stat = fstatSync(facts.local, { bigint: true });
  const used = stat.blocks * BLOCK;
  if (used > options.ghostLimitBytes) throw tooLarge(used, options.ghostLimitBytes);
  const { xattrs, lost } = readXattrs(path);
  if (lost.length > 0) log.warn({ path: facts.link, lost }, 'extended attributes of a deleted file are lost');
  const entry = entryOf(facts, stat);
  entry.crts = {
    atim_nsec: Number(stat.atimeNs % NANOSECONDS),
    mtim_nsec: Number(stat.mtimeNs % NANOSECONDS),
    xattrs,
  };
  const image = sink.rawFd('ghost-file', id);
  if (typeOf(facts.mode) === S_IFDIR) addFlags(entry, flagsOfDirectory(facts, log));
  if (typeOf(facts.mode) !== S_IFREG) writeAll(image, encodeImage(imageKind('ghost-file'), [{ value: entry }]));
  else writeContents(facts, entry, image, log);
}

function addFlags({ crts }: GhostFileEntry, { flags, project }: InodeFlags): void {
  if (flags !== 0) crts!.inode_flags = flags;
  if (project !== 0) crts!.project = project;
}

function flagsOfDirectory({ local, link }: FdFacts, log: Logger): InodeFlags {
  const fd = openSync(`/proc/self/fd/${local}`, O_RDONLY | O_NOATIME | O_CLOEXEC);
  try {
    return readInodeFlags(fd, link, log);
  } finally {
    closeSync(fd);
  }
}

function entryOf(facts: FdFacts, stat: BigIntStats): GhostFileEntry {
  const type = typeOf(facts.mode);
  const entry: GhostFileEntry = {
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mode: facts.mode,
    atim: timeOf(stat.atimeNs),
    mtim: timeOf(stat.mtimeNs),
    dev: kernelDevice(facts.dev),
    ino: facts.ino,
  };
  if (type === S_IFCHR || type === S_IFBLK) entry.rdev = Number(stat.rdev);
  if (type === S_IFREG && stat.size >= CHUNKS_FROM) Object.assign(entry, { chunks: true, size: stat.size });
  if (type === S_IFLNK) entry.symlnk_target = decodeName(linkTarget(facts.local));
  return entry;
}

/** The kernel's own dev_t, by which the format names filesystems: MKDEV(), include/linux/kdev_t.h. */
function kernelDevice(dev: bigint): number {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return Number(BigInt.asUintN(32, (major << 20n) | minor));
}

function timeOf(ns: bigint): { tv_sec: bigint; tv_usec: bigint } {
  const rest = ((ns % NANOSECONDS) + NANOSECONDS) % NANOSECONDS;
  return { tv_sec: BigInt.asUintN(64, (ns - rest) / NANOSECONDS), tv_usec: rest / 1000n };
}

/** readlink(2) of a descriptor's own name: /proc/self/fd/N of a symbolic link that is open itself is not its target. */
function linkTarget(local: number): Buffer {
  const target = Buffer.alloc(4096);
  const length = rawSyscall('readlinkat', local, Buffer.from([0]), target, target.length);
  return length < 0 ? readlinkSync(`/proc/self/fd/${local}`, 'buffer') : target.subarray(0, length);
}

function writeContents(facts: FdFacts, entry: GhostFileEntry, image: number, log: Logger): void {
  let fd: number;
  try {
    // Anew, since the description may be write-only, and O_NOATIME, since a dump leaves no trace.
    fd = openSync(`/proc/self/fd/${facts.local}`, O_RDONLY | O_NOATIME | O_NONBLOCK | O_CLOEXEC);
  } catch (error) {
    throw unreadable(callOf(error), errnoOf(error));
  }
  try {
    addFlags(entry, readInodeFlags(fd, facts.link, log));
    if (entry.chunks !== true) {
      const extra = Buffer.alloc(Number(facts.sizeBytes));
      read(fd, extra, 0n);
      writeAll(image, encodeImage(imageKind('ghost-file'), [{ value: entry, extra }]));
      return;
    }
    writeAll(image, encodeImage(imageKind('ghost-file'), [{ value: entry }]));
    for (const { off, len } of dataOf(fd, entry.size!)) {
      const message = encodeMessage('ghost_chunk_entry', { len, off });
      const size = Buffer.alloc(4);
      size.writeUInt32LE(message.length);
      writeAll(image, Buffer.concat([size, message]));
      copy(fd, image, off, len);
    }
  } finally {
    closeSync(fd);
  }
}

/** Stretches with data; the holes between them are not stored. A filesystem that does not tell has one stretch. */
export function* dataOf(fd: number, size: bigint): Generator<{ off: bigint; len: bigint }> {
  for (let hole = 0n; hole < size; ) {
    const data = BigInt(rawSyscall('lseek', fd, hole, SEEK_DATA));
    if (data === BigInt(-ENXIO)) return;
    if (data < 0n) {
      yield { off: hole, len: size - hole };
      return;
    }
    const end = BigInt(rawSyscall('lseek', fd, data, SEEK_HOLE));
    hole = end < 0n || end > size ? size : end;
    if (hole > data) yield { off: data, len: hole - data };
  }
}

function copy(from: number, image: number, off: bigint, len: bigint): void {
  const step = Buffer.allocUnsafe(Number(len < BigInt(STEP) ? len : BigInt(STEP)));
  for (let done = 0n; done < len; ) {
    const piece = step.subarray(0, Number(len - done < BigInt(STEP) ? len - done : BigInt(STEP)));
    read(from, piece, off + done);
    writeAll(image, piece);
    done += BigInt(piece.length);
  }
}

function read(fd: number, into: Buffer, offset: bigint): void {
  try {
    preadFull(fd, into, offset);
  } catch (error) {
    throw unreadable(callOf(error), errnoOf(error));
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}
