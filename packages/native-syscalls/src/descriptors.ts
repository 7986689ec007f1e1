/** What a dump asks of every descriptor of a task, in one native call for many of them. */
import { decodeName } from '@crts/plugin-api';
import { addon } from './addon';
import { SyscallError } from './errors';
import { closeFd } from './files';
import { descriptorRecord } from './struct/tables';
import { cPath } from './syscall';

/** Where the addon wrote what it found: one piece of memory for many descriptors. */
interface Chunk {
  readonly bytes: Buffer;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;
}

/** Places of the fields, in words of their size. */
const { offsets, fields, size: RECORD_SIZE } = descriptorRecord;
const AT = Object.fromEntries(
  Object.entries(fields).map(([name, type]) => [
    name,
    offsets[name as keyof typeof offsets] / (type === 'u64' ? 8 : 4),
  ]),
) as Readonly<Record<keyof typeof offsets, number>>;

const BEYOND_ASCII = /[^\0-\x7f]/;
const O_CLOEXEC = 0o2000000;
/** `anon_inode:[NAME]`. */
const LETTER_A = 0x61;
const ANONYMOUS_MAX = 48;

/**
 * A descriptor as fstat, fstatfs, fcntl, readlink and /proc/PID/fdinfo show it (man 5 proc). There may be very many: what nobody
 * asks for is not made.
 */
export class DescribedFd {
  /** `fd`: number in the task's table; `start`: of the record in the chunk. */
  constructor(
    readonly chunk: Chunk,
    readonly start: number,
    readonly fd: number,
  ) {}

  /** The engine's duplicate, open until the visitor returns; without a pidfd the descriptor itself. */
  get local(): number {
    return this.chunk.i32[this.start / 4 + AT.local]!;
  }

  get mode(): number {
    return this.#u32(AT.mode);
  }

  get uid(): number {
    return this.#u32(AT.uid);
  }

  get gid(): number {
    return this.#u32(AT.gid);
  }

  get dev(): bigint {
    return this.#u64(AT.dev);
  }

  get ino(): bigint {
    return this.#u64(AT.ino);
  }

  get rdev(): bigint {
    return this.#u64(AT.rdev);
  }

  get sizeBytes(): bigint {
    return this.#u64(AT.size);
  }

  get nlink(): bigint {
    return this.#u64(AT.nlink);
  }

  /** Time of the last change of the inode, in nanoseconds. */
  get changeNs(): bigint {
    return this.#u64(AT.change_ns);
  }

  get fsType(): bigint {
    return this.#u64(AT.fs_type);
  }

  get pos(): bigint {
    return this.#u64(AT.pos);
  }

  /** With O_CLOEXEC where the descriptor has it. */
  get openFlags(): number {
    return this.#u32(AT.flags);
  }

  get mntId(): number {
    return this.chunk.i32[this.start / 4 + AT.mnt_id]!;
  }

  /** Text of the link as it is, ` (deleted)` included. */
  get linkText(): string {
    const at = this.start + RECORD_SIZE;
    const end = at + this.#u32(AT.link_size);
    const text = this.chunk.bytes.toString('latin1', at, end);
    return BEYOND_ASCII.test(text) ? decodeName(this.chunk.bytes.subarray(at, end)) : text;
  }

  get fdinfo(): string {
    const at = this.start + RECORD_SIZE + this.#u32(AT.link_size);
    return this.chunk.bytes.toString('latin1', at, at + this.#u32(AT.fdinfo_size));
  }

  /** F_GETOWN_EX, F_GETSIG and F_GETOWNER_UIDS; pid 0: none. */
  get owner(): { type: number; pid: number; signal: number; uid: number; euid: number } {
    const { i32 } = this.chunk;
    const word = this.start / 4;
    return {
      type: i32[word + AT.owner_type]!,
      pid: i32[word + AT.owner_pid]!,
      signal: i32[word + AT.owner_signal]!,
      uid: this.#u32(AT.owner_uid),
      euid: this.#u32(AT.owner_euid),
    };
  }

  get hasOwner(): boolean {
    return this.#u32(AT.owner_pid) !== 0 || this.#u32(AT.owner_signal) !== 0;
  }

  /** The same for all descriptors of one description while nobody moves its position: file, position, flags. */
  get likeness(): number {
    const { u32 } = this.chunk;
    const word = this.start / 4;
    let hash = u32[word + AT.flags]! & ~O_CLOEXEC;
    for (const field of [AT.dev, AT.ino, AT.pos]) {
      hash = Math.imul(hash ^ u32[word + 2 * field]!, 0x9e3779b1);
      hash = Math.imul(hash ^ u32[word + 2 * field + 1]! ^ (hash >>> 15), 0x85ebca6b);
    }
    // All anonymous inodes are one, and the text says what kind of file it is.
    const text = this.start + RECORD_SIZE;
    const length = this.#u32(AT.link_size);
    if (length <= ANONYMOUS_MAX && this.chunk.bytes[text] === LETTER_A)
      for (let at = text; at < text + length; at++) hash = Math.imul(hash ^ this.chunk.bytes[at]!, 0x01000193);
    return hash;
  }

  #u32(word: number): number {
    return this.chunk.u32[this.start / 4 + word]!;
  }

  #u64(word: number): bigint {
    return this.chunk.u64[this.start / 8 + word]!;
  }
}

const OUT_BYTES = 256 * 1024;
/** An epoll with a million targets has some 100 MiB of fdinfo. */
const OUT_MAX = 1024 * 1024 * 1024;
/** By the numbers of native/include/descriptor.h. */
const STEPS = ['', 'pidfd_getfd', 'fstat', 'fstatfs', 'readlink', 'read of fdinfo', 'open'];

let shared = Buffer.alloc(0);

/**
 * Describes descriptors of a stopped task, in their order. `pidfd` undefined: `pid` is the engine and they are its own.
 * @throws SyscallError naming the call, the path and the descriptor
 */
export function visitDescriptors<T>(
  pid: number,
  pidfd: number | undefined,
  numbers: ArrayLike<number>,
  visit: (described: DescribedFd) => T,
): T[] {
  const found: T[] = [];
  const fds = Int32Array.from(numbers);
  if (shared.length === 0) shared = Buffer.alloc(OUT_BYTES);
  let out = shared;
  while (found.length < fds.length) {
    const count = addon().describe(pid, pidfd ?? -1, fds, found.length, out);
    if (count < 0) {
      const fd = out.readInt32LE(4);
      throw new SyscallError(`${STEPS[out.readInt32LE(0)]}(fd ${fd})`, -count, undefined, `/proc/${pid}/fd/${fd}`);
    }
    if (count === 0) {
      if (out.length >= OUT_MAX) throw new SyscallError('read of fdinfo', 27, undefined, `/proc/${pid}/fdinfo`);
      out = Buffer.alloc(out.length * 4);
      continue;
    }
    visitRecords(fds, found, count, out, pidfd !== undefined, visit);
  }
  return found;
}

function visitRecords<T>(
  fds: Int32Array,
  found: T[],
  count: number,
  out: Buffer,
  isBorrowed: boolean,
  visit: (described: DescribedFd) => T,
): void {
  const words = new Uint32Array(out.buffer, out.byteOffset, out.length >> 2);
  const starts = new Int32Array(count);
  const locals = new Int32Array(count);
  let end = 0;
  for (let index = 0; index < count; index++) {
    starts[index] = end;
    locals[index] = words[(end >> 2) + AT.local]!;
    end += words[(end >> 2) + AT.record_size]!;
  }
  try {
    // A visitor may ask for other descriptors, which takes the same buffer, and may keep what it is shown.
    const chunk = chunkOf(out, end);
    const first = found.length;
    for (let index = 0; index < count; index++)
      found.push(visit(new DescribedFd(chunk, starts[index]!, fds[first + index]!)));
  } finally {
    if (isBorrowed) closeAll(locals);
  }
}

function closeAll(fds: Int32Array): void {
  const result = addon().closeAll(fds, fds.length);
  if (result < 0) throw new SyscallError('close', -result);
}

function chunkOf(out: Buffer, size: number): Chunk {
  const memory = new ArrayBuffer(size);
  const bytes = Buffer.from(memory);
  out.copy(bytes, 0, 0, size);
  return {
    bytes,
    i32: new Int32Array(memory, 0, size >> 2),
    u32: new Uint32Array(memory, 0, size >> 2),
    u64: new BigUint64Array(memory, 0, size >> 3),
  };
}

/**
 * Opens what is behind a path, a link of /proc for instance, by path only, and describes it. It has no position, no flags, no owner and
 * no fdinfo.
 * @throws SyscallError naming the call and the path
 */
export function visitPath<T>(path: string, visit: (described: DescribedFd) => T): T {
  if (shared.length === 0) shared = Buffer.alloc(OUT_BYTES);
  const out = shared;
  const result = addon().describePath(cPath(path), out);
  if (result < 0) throw new SyscallError(STEPS[out.readInt32LE(0)]!, -result, undefined, path);
  const local = out.readInt32LE(offsets.local);
  try {
    return visit(new DescribedFd(chunkOf(out, out.readUInt32LE(offsets.record_size)), 0, local));
  } finally {
    closeFd(local);
  }
}

const NO_LINK = new Uint8Array(0);
let list = new Int32Array(256);

/**
 * Numbers in a task's table, ascending; with `linkPart` only those whose link in /proc/PID/fd has this text in it.
 * @throws SyscallError with the path
 */
export function descriptorNumbers(pid: number, linkPart?: string): number[] {
  const part = linkPart === undefined ? NO_LINK : Buffer.from(linkPart);
  for (;;) {
    const count = addon().listDescriptors(pid, part, list);
    if (count < 0) throw new SyscallError('readdir', -count, undefined, `/proc/${pid}/fd`);
    if (count <= list.length) return Array.from(list.subarray(0, count).sort());
    list = new Int32Array(2 * count);
  }
}

/** Words of a row: process, descriptor, and two of who keeps them. */
const ROW = 4;

/** File descriptions in the order of kcmp(2), each with a descriptor of it. */
export class SortedFiles {
  #rows = new Int32Array(2 * ROW);
  #count = 0;

  /**
   * Index of the description of this descriptor; where it is not among them, -1 less the index that it is to get.
   * @throws SyscallError
   */
  find(pid: number, fd: number): number {
    const result = addon().searchFile(this.#rows, this.#count, pid, fd);
    if (result < 0) throw new SyscallError(`kcmp(${pid}, fd ${fd})`, -result);
    return (result & 1) === 1 ? result >> 1 : -1 - (result >> 1);
  }

  /** The numbers that add() was given with it. */
  first(index: number): number {
    return this.#rows[index * ROW + 2]!;
  }

  second(index: number): number {
    return this.#rows[index * ROW + 3]!;
  }

  add(index: number, pid: number, fd: number, first: number, second: number): void {
    if ((this.#count + 1) * ROW > this.#rows.length) {
      const grown = new Int32Array(this.#rows.length * 2);
      grown.set(this.#rows);
      this.#rows = grown;
    }
    const at = index * ROW;
    if (index < this.#count) this.#rows.copyWithin(at + ROW, at, this.#count * ROW);
    this.#rows[at] = pid;
    this.#rows[at + 1] = fd;
    this.#rows[at + 2] = first;
    this.#rows[at + 3] = second;
    this.#count += 1;
  }
}
