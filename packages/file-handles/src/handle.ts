/** File handles (man 2 open_by_handle_at): what the kernel calls a file whatever its names are. */
import { rawSyscall } from '@crts/native-syscalls';
import { encodeName } from '@crts/plugin-api';

const AT_FDCWD = -100;
const O_PATH = 0o10000000;
/** Handles that identify and need not open: name_to_handle_at(2), Linux 6.5. */
const AT_HANDLE_FID = 0x200;
const EINVAL = 22;
/** MAX_HANDLE_SZ, include/linux/exportfs.h. */
export const HANDLE_BYTES_MAX = 128;
/** struct file_handle begins with length and type. */
const HEAD_BYTES = 8;
const WORD_BYTES = 8;
/** The format wants at least so many words in fh_entry. */
const WORDS_MIN = 16;

export interface FileHandle {
  readonly type: number;
  readonly bytes: Buffer;
}

/** `fhandle-bytes:8 fhandle-type:1 f_handle:c625...` of fdinfo; undefined where the file system has no handles. */
export function parseFileHandle(line: string): FileHandle | undefined {
  const [, size, type, text] =
    /\bfhandle-bytes:([0-9a-f]+) fhandle-type:([0-9a-f]+) f_handle:([0-9a-f]*)/.exec(line) ?? [];
  if (size === undefined) return undefined;
  const bytes = Buffer.from(text!, 'hex');
  return bytes.length === Number.parseInt(size, 16) ? { type: Number.parseInt(type!, 16), bytes } : undefined;
}

const padded = Buffer.alloc(HANDLE_BYTES_MAX);

/** `fh_entry` without path: little-endian words, zeros behind the handle. */
export function handleEntry(handle: FileHandle | undefined): { bytes: number; type: number; handle: bigint[] } {
  const words: bigint[] = new Array(WORDS_MIN).fill(0n);
  const bytes = handle?.bytes ?? Buffer.alloc(0);
  bytes.copy(padded.fill(0));
  for (let at = 0; at < bytes.length; at += WORD_BYTES) words[at / WORD_BYTES] = padded.readBigUInt64LE(at);
  return { bytes: bytes.length, type: handle?.type ?? 0, handle: words };
}

/** The handle of a `fh_entry`; undefined where it has none, `bad` where it cannot be one. */
export function handleOf(entry: {
  bytes: number;
  type: number;
  handle: readonly bigint[];
}): FileHandle | undefined | 'bad' {
  if (entry.bytes === 0) return undefined;
  if (entry.bytes > HANDLE_BYTES_MAX || entry.bytes > entry.handle.length * WORD_BYTES) return 'bad';
  const words = Math.ceil(entry.bytes / WORD_BYTES);
  const bytes = Buffer.allocUnsafe(words * WORD_BYTES);
  for (let word = 0; word < words; word++) bytes.writeBigUInt64LE(entry.handle[word]!, word * WORD_BYTES);
  return { type: entry.type, bytes: bytes.subarray(0, entry.bytes) };
}

/** struct file_handle; good until the next one is encoded. */
function encode({ type, bytes }: FileHandle): Buffer {
  question.writeUInt32LE(bytes.length, 0);
  question.writeInt32LE(type, 4);
  bytes.copy(question, HEAD_BYTES);
  return question;
}

/** A NUL-terminated path for a system call. */
export function pathArgument(path: string): Buffer {
  return Buffer.concat([encodeName(path), NUL]);
}

const NUL = Buffer.alloc(1);
const question = Buffer.alloc(HEAD_BYTES + HANDLE_BYTES_MAX);
const answer = Buffer.alloc(HEAD_BYTES + HANDLE_BYTES_MAX);
const mountId = Buffer.alloc(8);

/** Asks for the handle of what `path` names, symbolic links at its end not followed; it is left in `answer`. */
function ask(path: string): boolean {
  const name = pathArgument(path);
  const call = (flags: number) => {
    answer.writeUInt32LE(HANDLE_BYTES_MAX, 0);
    return rawSyscall('name_to_handle_at', AT_FDCWD, name, answer, mountId, flags);
  };
  const result = call(AT_HANDLE_FID);
  return result === 0 || (result === -EINVAL && call(0) === 0);
}

/** Handle of what `path` names; undefined where there is none. */
export function handleOfPath(path: string): FileHandle | undefined {
  if (!ask(path)) return undefined;
  const size = answer.readUInt32LE(0);
  return { type: answer.readInt32LE(4), bytes: Buffer.from(answer.subarray(HEAD_BYTES, HEAD_BYTES + size)) };
}

/** Whether `path` names this very object. */
export function leadsTo(path: string, { type, bytes }: FileHandle): boolean {
  if (!ask(path)) return false;
  const end = HEAD_BYTES + answer.readUInt32LE(0);
  return answer.readInt32LE(4) === type && answer.compare(bytes, 0, bytes.length, HEAD_BYTES, end) === 0;
}

export function sameHandle(one: FileHandle | undefined, other: FileHandle | undefined): boolean {
  return one !== undefined && other !== undefined && one.type === other.type && one.bytes.equals(other.bytes);
}

/**
 * Opens a handle on the file system of the working directory, O_PATH; a negative errno where that fails. The anchor is the
 * working directory because another one would have to be opened for reading (O_PATH: EBADF), which whoever watches it sees.
 */
export function openHandleHere(handle: FileHandle): number {
  return rawSyscall('open_by_handle_at', AT_FDCWD, encode(handle), O_PATH);
}
