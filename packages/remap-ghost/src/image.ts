/** `ghost-file-ID.img`: a ghost_file_entry with the contents behind it, in one piece or in chunks. */
import type { GhostChunkEntry, GhostFileEntry } from '@crts/image-io';
import type { ImageContents } from '@crts/plugin-api';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from './constants';
import { badGhost } from './errors';
import { type InodeFlags, SETTABLE } from './inode-flags';
import { isCarried, VALUE_MAX, type Xattr } from './xattrs';

const TYPES: readonly number[] = [S_IFIFO, S_IFCHR, S_IFDIR, S_IFBLK, S_IFREG, S_IFLNK, S_IFSOCK];
const MODE_MAX = 0o177777;
const SIZE_MAX = (1n << 63n) - 1n;
const PATH_MAX = 4096;
const MICROSECONDS = 1_000_000n;
const NANOSECONDS = 1_000_000_000;

/** Contents of the file from `offset` on, and where they lie in the image. */
export interface Piece {
  readonly offset: bigint;
  readonly at: bigint;
  readonly sizeBytes: number;
}

/** A deleted file, as validated. */
export interface Ghost {
  readonly id: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  /** The deleted inode; absent where the image does not say. */
  readonly was: { readonly device: number; readonly ino: bigint } | undefined;
  readonly target: string;
  /** atime and mtime as two struct timespec; absent where the image has none. */
  readonly times: Buffer | undefined;
  readonly xattrs: readonly Xattr[];
  readonly inode: InodeFlags;
  readonly imageFd: number;
  readonly sizeBytes: bigint;
  readonly pieces: readonly Piece[];
}

export function typeOf(mode: number): number {
  return mode & S_IFMT;
}

/** @throws CrtsError CRTS_IMAGE_FIELD for what no dump writes */
export function readGhost(id: number, { fd, entries }: ImageContents): Ghost {
  const [head, ...chunks] = entries;
  if (head === undefined) throw badGhost(id, 'the image has no entry');
  const entry = head.value as GhostFileEntry;
  const { mode, uid, gid, rdev = 0, symlnk_target: target = '' } = entry;
  const type = typeOf(mode);
  if (mode > MODE_MAX || !TYPES.includes(type)) throw badGhost(id, `mode 0${mode.toString(8)} is of no kind of file`);
  if (type === S_IFLNK && (target === '' || target.includes('\0') || target.length >= PATH_MAX))
    throw badGhost(id, 'a symbolic link that leads nowhere');
  const xattrs = entry.crts?.xattrs ?? [];
  if (xattrs.some(({ name, value }) => !isCarried(name) || value.length > VALUE_MAX))
    throw badGhost(id, 'impossible extended attribute');
  const inode = { flags: entry.crts?.inode_flags ?? 0, project: entry.crts?.project ?? 0 };
  if ((inode.flags & ~SETTABLE) !== 0) throw badGhost(id, `inode flags 0x${inode.flags.toString(16)}`);
  const whole: Piece[] = [{ offset: 0n, at: BigInt(head.offset), sizeBytes: head.sizeBytes }];
  const sizeBytes = entry.chunks === true ? (entry.size ?? -1n) : BigInt(head.sizeBytes);
  if (sizeBytes < 0n || sizeBytes > SIZE_MAX) throw badGhost(id, 'impossible size');
  if (type !== S_IFREG && sizeBytes > 0n) throw badGhost(id, 'only a regular file has contents');
  return {
    id,
    mode,
    uid,
    gid,
    rdev,
    was: entry.dev === undefined || entry.ino === undefined ? undefined : { device: entry.dev, ino: entry.ino },
    target,
    times: timesOf(id, entry),
    xattrs: xattrs.map(({ name, value }) => ({ name, value: Buffer.from(value) })),
    inode,
    imageFd: fd,
    sizeBytes,
    pieces: entry.chunks === true ? chunks.map((chunk) => pieceOf(id, chunk, sizeBytes)) : whole,
  };
}

function pieceOf(id: number, chunk: ImageContents['entries'][number], sizeBytes: bigint): Piece {
  const { off, len } = chunk.value as GhostChunkEntry;
  if (off > sizeBytes || len > sizeBytes - off) throw badGhost(id, 'a chunk lies outside the file');
  return { offset: off, at: BigInt(chunk.offset), sizeBytes: chunk.sizeBytes };
}

function timesOf(id: number, { atim, mtim, crts }: GhostFileEntry): Buffer | undefined {
  if (atim === undefined || mtim === undefined) return undefined;
  const times = Buffer.alloc(32);
  const put = (at: number, time: { tv_sec: bigint; tv_usec: bigint }, exact: number | undefined) => {
    if (time.tv_usec >= MICROSECONDS || (exact ?? 0) >= NANOSECONDS) throw badGhost(id, 'impossible time');
    // The format's fields are unsigned; times before 1970 are negative.
    times.writeBigInt64LE(BigInt.asIntN(64, BigInt(time.tv_sec)), at);
    times.writeBigInt64LE(exact === undefined ? BigInt(time.tv_usec) * 1000n : BigInt(exact), at + 8);
  };
  put(0, atim, crts?.atim_nsec);
  put(16, mtim, crts?.mtim_nsec);
  return times;
}
