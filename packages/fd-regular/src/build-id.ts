/** ELF build ids, by which CRIU recognises a changed executable or library (--file-validation buildid). */
import { closeSync, openSync, readSync } from 'node:fs';
import { encodeName } from '@crts/plugin-api';
import { O_CLOEXEC, O_NOATIME, O_NONBLOCK } from './open-flags';

/** The format's rule: headers and notes are looked for in the first 1 MiB. */
const SEARCH_MAX = 1024 * 1024;
/** The format's rule: a longer one is none. */
const ID_MAX = 512;
/** A table of program headers is a page at most in practice; ET_CORE files have more, and no build id. */
const HEADERS_MAX = 512;
const NOTES_MAX = 64 * 1024;
const PT_NOTE = 4;
const NT_GNU_BUILD_ID = 3;
const NOTE_HEADER = 12;
const IDENT = 64;

/** Reads up to `length` bytes at `offset`; less at the end of the file. */
export type ReadAt = (offset: number, length: number) => Buffer;

/** Offsets in struct elf_hdr and elf_phdr, include/uapi/linux/elf.h. */
interface Layout {
  readonly headerSize: number;
  readonly tableAt: number;
  readonly entrySize: number;
  readonly count: number;
  readonly phdrSize: number;
  readonly noteAt: number;
  readonly noteSize: number;
  word(bytes: Buffer, at: number): number;
}

const ELF32: Layout = {
  headerSize: 52,
  tableAt: 28,
  entrySize: 42,
  count: 44,
  phdrSize: 32,
  noteAt: 4,
  noteSize: 16,
  word: (bytes, at) => bytes.readUInt32LE(at),
};
const ELF64: Layout = {
  headerSize: 64,
  tableAt: 32,
  entrySize: 54,
  count: 56,
  phdrSize: 56,
  noteAt: 8,
  noteSize: 32,
  // Whatever is above 1 MiB is out of range, so the loss of low bits above 2^53 changes nothing.
  word: (bytes, at) => Number(bytes.readBigUInt64LE(at)),
};

/** The build id of the ELF file under `path`, or an empty list. The file is opened for reading, without a trace. */
export function buildIdOfPath(path: string): number[] {
  const fd = openForReading(encodeName(path));
  if (fd === undefined) return [];
  try {
    return readBuildId(readerOf(fd));
  } finally {
    closeSync(fd);
  }
}

/** O_NONBLOCK: who holds a lease on the file must not keep us waiting (man 2 fcntl, leases). */
function openForReading(path: Buffer): number | undefined {
  for (const flags of [O_NONBLOCK | O_CLOEXEC | O_NOATIME, O_NONBLOCK | O_CLOEXEC]) {
    try {
      return openSync(path, flags);
    } catch (error) {
      // O_NOATIME is the owner's (and CAP_FOWNER's) privilege: man 2 open.
      if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined;
    }
  }
  return undefined;
}

function readerOf(fd: number): ReadAt {
  return (offset, length) => {
    const bytes = Buffer.alloc(length);
    try {
      return bytes.subarray(0, readSync(fd, bytes, 0, length, offset));
    } catch {
      // A file that cannot be read (EIO, a file of /proc that wants more privilege) has no build id to compare.
      return bytes.subarray(0, 0);
    }
  };
}

/**
 * 32-bit words of the build id, the last one padded with zeros: what the image holds. As in CRIU, the first note of
 * type 3 counts, whatever its name. Everything in the file is untrusted: positions and sizes are bounded.
 */
export function readBuildId(read: ReadAt): number[] {
  const header = read(0, IDENT);
  const layout = layoutOf(header);
  if (layout === undefined) return [];
  const tableAt = layout.word(header, layout.tableAt);
  const count = header.readUInt16LE(layout.count);
  if (header.readUInt16LE(layout.entrySize) !== layout.phdrSize || count > HEADERS_MAX) return [];
  if (tableAt === 0 || tableAt > SEARCH_MAX) return [];
  const table = read(tableAt, count * layout.phdrSize);
  for (let at = 0; at + layout.phdrSize <= table.length; at += layout.phdrSize) {
    if (table.readUInt32LE(at) !== PT_NOTE) continue;
    const offset = layout.word(table, at + layout.noteAt);
    if (offset === 0 || offset >= SEARCH_MAX) continue;
    const size = Math.min(layout.word(table, at + layout.noteSize), NOTES_MAX, SEARCH_MAX - offset);
    const found = findNote(read(offset, size));
    if (found !== undefined) return found;
  }
  return [];
}

function layoutOf(header: Buffer): Layout | undefined {
  const littleEndianElf = header.length >= 6 && header.readUInt32BE(0) === 0x7f454c46 && header[5] === 1;
  if (!littleEndianElf) return undefined;
  const layout = header[4] === 1 ? ELF32 : header[4] === 2 ? ELF64 : undefined;
  return layout !== undefined && header.length >= layout.headerSize ? layout : undefined;
}

/** Notes: size of name, size of content, type, then both padded to 4 (man 5 elf). */
function findNote(notes: Buffer): number[] | undefined {
  for (let at = 0; at + NOTE_HEADER <= notes.length; ) {
    const start = at + NOTE_HEADER + padded(notes.readUInt32LE(at));
    const size = notes.readUInt32LE(at + 4);
    if (notes.readUInt32LE(at + 8) === NT_GNU_BUILD_ID) {
      if (size > ID_MAX || start + size > notes.length) return [];
      return wordsOf(notes.subarray(start, start + size));
    }
    at = start + padded(size);
  }
  return undefined;
}

function padded(size: number): number {
  return Math.ceil(size / 4) * 4;
}

function wordsOf(id: Buffer): number[] {
  const bytes = Buffer.alloc(padded(id.length));
  id.copy(bytes);
  return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readUInt32LE(4 * index));
}
