/** ELF build ids, by which CRIU recognises a changed executable or library (--file-validation buildid). */
import { closeSync, openSync, readSync } from 'node:fs';

const ELF_HEADER = 64;
const PROGRAM_HEADER = 56;
const PT_NOTE = 4;
const NT_GNU_BUILD_ID = 3;
/** The format's rule: notes are looked for in the first 1 MiB. */
const SEARCH_MAX = 1024 * 1024;
const HEADERS_MAX = 128;
const NOTES_MAX = 64 * 1024;

/** 32-bit words of the build id of the 64-bit ELF file behind `path`, or an empty list. */
export function buildId(path: string | Buffer): number[] {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return [];
  }
  try {
    return readBuildId((offset, length) => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(fd, bytes, 0, length, offset));
    });
  } finally {
    closeSync(fd);
  }
}

/** The same over any source of bytes. Everything in the file is untrusted: sizes are bounded. */
export function readBuildId(read: (offset: number, length: number) => Buffer): number[] {
  const header = read(0, ELF_HEADER);
  const is64 =
    header.length === ELF_HEADER && header.readUInt32BE(0) === 0x7f454c46 && header[4] === 2 && header[5] === 1;
  if (!is64) return [];
  const tableAt = Number(header.readBigUInt64LE(32));
  const count = header.readUInt16LE(56);
  if (header.readUInt16LE(54) !== PROGRAM_HEADER || count > HEADERS_MAX || tableAt > SEARCH_MAX) return [];
  const table = read(tableAt, count * PROGRAM_HEADER);
  for (let at = 0; at + PROGRAM_HEADER <= table.length; at += PROGRAM_HEADER) {
    if (table.readUInt32LE(at) !== PT_NOTE) continue;
    const offset = Number(table.readBigUInt64LE(at + 8));
    const size = Number(table.readBigUInt64LE(at + 32));
    if (offset > SEARCH_MAX || size > NOTES_MAX) continue;
    const found = findNote(read(offset, size));
    if (found !== undefined) return found;
  }
  return [];
}

/** Notes: name size, descriptor size, type, then both padded to 4 (man 5 elf). */
function findNote(notes: Buffer): number[] | undefined {
  for (let at = 0; at + 12 <= notes.length; ) {
    const nameSize = notes.readUInt32LE(at);
    const size = notes.readUInt32LE(at + 4);
    const type = notes.readUInt32LE(at + 8);
    const start = at + 12 + Math.ceil(nameSize / 4) * 4;
    if (start + size > notes.length) return undefined;
    if (type === NT_GNU_BUILD_ID && notes.toString('latin1', at + 12, at + 16) === 'GNU\0') {
      const words: number[] = [];
      for (let word = 0; word + 4 <= size; word += 4) words.push(notes.readUInt32LE(start + word));
      return words;
    }
    at = start + Math.ceil(size / 4) * 4;
  }
  return undefined;
}
