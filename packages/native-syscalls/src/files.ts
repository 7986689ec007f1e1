/** Files by descriptor, with 64-bit offsets and addresses. */
import { closeSync, openSync } from 'node:fs';
import type { LateFd } from '@crts/plugin-api';
import { addon } from './addon';
import { SyscallBatch } from './batch';
import { SyscallError } from './errors';
import { addressOf, keepReachable } from './memory';
import { cPath, rawSyscall, syscall, syscallOn } from './syscall';

const EINTR = 4;
const O_CLOEXEC = 0o2000000;

const TCGETS = 0x5401;
/** sizeof(struct termios) of the kernel, and more. */
const TERMIOS_SIZE = 64;

/** As isatty(3). That of node:tty loads sockets and streams first: 8 ms. */
export function isTerminal(fd: number): boolean {
  return rawSyscall('ioctl', fd, TCGETS, Buffer.alloc(TERMIOS_SIZE)) === 0;
}

/** Reads exactly `buffer.length` bytes at `offset`, or throws; ENODATA when the file ends before. */
export function preadFull(fd: number, buffer: Buffer, offset: bigint): void {
  transferFull('pread64', fd, buffer, offset);
}

/** Writes the whole buffer at `offset`, or throws. */
export function pwriteFull(fd: number, buffer: Buffer, offset: bigint): void {
  transferFull('pwrite64', fd, buffer, offset);
}

function transferFull(call: 'pread64' | 'pwrite64', fd: number, buffer: Buffer, offset: bigint): void {
  let done = 0;
  while (done < buffer.length) {
    const rest = buffer.subarray(done);
    const result = rawSyscall(call, fd, rest, rest.length, offset + BigInt(done));
    if (result === -EINTR) continue;
    if (result <= 0)
      throw new SyscallError(
        `${call}(fd ${fd}, ${rest.length} bytes at 0x${(offset + BigInt(done)).toString(16)})`,
        result === 0 ? 61 : -result,
      );
    done += result;
  }
}

/** Reserves blocks, so that writes later neither run out of space nor allocate one by one. ENOTSUP is no error. */
export function preallocate(fd: number, sizeBytes: bigint): void {
  // shmem_fallocate(), mm/shmem.c, gives up at any pending signal.
  let result: number;
  do result = rawSyscall('fallocate', fd, 0, 0, sizeBytes);
  while (result === -EINTR);
  if (result < 0 && result !== -95) throw new SyscallError(`fallocate(fd ${fd}, ${sizeBytes} bytes)`, -result);
}

let scratch = Buffer.alloc(0);

/**
 * Reads a file of /proc or another small one whole, in one native call; the bytes are the caller's.
 * @throws SyscallError with the path
 */
export function readSmallFile(path: string): Buffer {
  return readWith('readFile', path);
}

/** The same of /proc/PID/smaps, whose lines on how much of a mapping is in memory are left out: nine tenths of it. */
export function readMappings(path: string): Buffer {
  return readWith('readMappings', path);
}

function readWith(name: 'readFile' | 'readMappings', path: string): Buffer {
  // Larger than nearly all of them: reading smaps again would walk the page tables again. Pages that are not used cost nothing.
  if (scratch.length === 0) scratch = Buffer.alloc(1024 * 1024);
  for (;;) {
    const length = addon()[name](path, scratch);
    if (length < 0) throw new SyscallError('read', -length, undefined, path);
    if (length < scratch.length) return Buffer.from(scratch.subarray(0, length));
    scratch = Buffer.alloc(scratch.length * 4);
  }
}

const BATCH_BYTES = 1024 * 1024;

/**
 * Reads small files whole, in as few native calls as there is room for; of a file that cannot be read the errno, negative. Bytes are the
 * caller's until the next file.
 */
export function readSmallFiles(
  paths: readonly string[],
  each: (index: number, content: Buffer | number) => void,
): void {
  if (paths.length === 0) return;
  const names = Buffer.from(`${paths.join('\0')}\0`);
  const ends = new Int32Array(paths.length);
  let into = Buffer.allocUnsafe(Math.min(BATCH_BYTES, paths.length * LINK_BYTES));
  for (let first = 0; first < paths.length; ) {
    const done = addon().readFiles(names, first, into, ends);
    if (done === 0) into = Buffer.allocUnsafe(into.length * 4);
    let start = 0;
    for (let index = first; index < first + done; index++) {
      const end = ends[index]!;
      each(index, end < 0 ? end : into.subarray(start, end));
      if (end >= 0) start = end;
    }
    first += done;
  }
}

/** So few are opened at once: a thread for them takes longer. */
const OPENED_AT_ONCE = 128;

/**
 * Opens files in a directory: their descriptors, close-on-exec; of one that could not be opened the errno, negative. Many are opened while
 * the engine goes on: a function is returned then that waits and says so, and must be called once.
 */
export function openAll(
  directory: number,
  names: readonly string[],
  flags: number,
  mode: number,
): number[] | (() => number[]) {
  if (names.length === 0) return [];
  const texts = Buffer.from(`${names.join('\0')}\0`);
  const base = Number(addressOf(texts));
  const batch = new SyscallBatch(names.length);
  for (let at = 0; at < texts.length; at = texts.indexOf(0, at) + 1)
    batch.add('openat', directory, base + at, flags | O_CLOEXEC, mode);
  const results = () => names.map((_, index) => batch.result(index));
  if (names.length > OPENED_AT_ONCE) {
    const finish = batch.start(texts);
    return () => {
      finish();
      return results();
    };
  }
  batch.run();
  keepReachable(texts);
  return results();
}

const LINK_BYTES = 4096;

/** Text of a link under /proc, which is never longer than a page (man 5 proc). @throws SyscallError with the path */
export function readLinkBytes(path: string): Buffer {
  const text = Buffer.allocUnsafe(LINK_BYTES);
  return text.subarray(0, syscallOn(path, 'readlink', cPath(path), text, LINK_BYTES));
}

/** Texts of many links under /proc, in one native call; of one that cannot be read the errno, negative. */
export function readLinks(paths: readonly string[]): (string | number)[] {
  const names = Buffer.from(`${paths.join('\0')}\0`);
  const room = Buffer.allocUnsafe(paths.length * SHORT_LINK_BYTES);
  const namesAt = Number(addressOf(names));
  const roomAt = Number(addressOf(room));
  const batch = new SyscallBatch(paths.length);
  let at = 0;
  for (let index = 0; index < paths.length; index++) {
    batch.add('readlink', namesAt + at, roomAt + index * SHORT_LINK_BYTES, SHORT_LINK_BYTES);
    at = names.indexOf(0, at) + 1;
  }
  batch.run();
  return paths.map((_, index) => {
    const result = batch.result(index);
    const start = index * SHORT_LINK_BYTES;
    return result < 0 ? result : room.toString('latin1', start, start + result);
  });
}

/** Of a namespace: `cgroup:[4026531835]`. */
const SHORT_LINK_BYTES = 64;

const identity = new BigUint64Array(2);

/** Device and inode of what a name leads to; the errno, negative, where it leads nowhere. `follow`: a symbolic link at its end too. */
export function identifyPath(name: Buffer, follow: boolean): { readonly dev: bigint; readonly ino: bigint } | number {
  const path = Buffer.alloc(name.length + 1);
  name.copy(path);
  const result = addon().identify(path, follow ? 1 : 0, identity);
  return result < 0 ? result : { dev: identity[0]!, ino: identity[1]! };
}

export function closeFd(fd: number): void {
  syscall('close', fd);
}

/**
 * A file that the engine opens when a task is to get it: the task's description is made here. `path` is asked then;
 * `/proc/self/fd/N` opens what descriptor N has, whether or not a name leads to it.
 */
export function lateOpen(path: () => string, flags: number, fail: (errno: string | undefined) => Error): LateFd {
  let fd: number | undefined;
  return {
    take: () => {
      try {
        fd = openSync(path(), flags | O_CLOEXEC);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        throw fail(code);
      }
      return fd;
    },
    sent: () => {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}
