/** Terminal settings: struct termios of the kernel (TCGETS), include/uapi/asm-generic/termbits.h. */
import type { TermiosEntry, WinsizeEntry } from '@crts/image-io';
import { rawSyscall } from '@crts/native-syscalls';

const TCGETS = 0x5401;
const TIOCGLCKTRMIOS = 0x5456;
const TIOCGWINSZ = 0x5413;
const TIOCGEXCL = 0x80045440;
const TIOCGPKT = 0x80045438;
/** Four flag words, the line discipline, 19 control characters. */
export const TERMIOS_SIZE = 36;
const LINE = 16;
const CHARACTERS = 17;
export const CHARACTER_COUNT = 19;

/** Undefined for a terminal that is hung up: every request on it answers EIO. */
export function readTermios(fd: number): TermiosEntry | undefined {
  return read(fd, TCGETS);
}

/** Which bits of the settings only a privileged process may change: man 2 TIOCSLCKTRMIOS. */
export function readLockedTermios(fd: number): TermiosEntry | undefined {
  return read(fd, TIOCGLCKTRMIOS);
}

function read(fd: number, request: number): TermiosEntry | undefined {
  const bytes = Buffer.alloc(TERMIOS_SIZE);
  if (rawSyscall('ioctl', fd, request, bytes) < 0) return undefined;
  return termiosEntry(bytes);
}

export function termiosEntry(bytes: Buffer): TermiosEntry {
  // The format has 19 words for the 19 characters; CRIU fills the first bytes of them with the characters themselves.
  const words = Buffer.alloc(4 * CHARACTER_COUNT);
  bytes.copy(words, 0, CHARACTERS, TERMIOS_SIZE);
  return {
    c_iflag: bytes.readUInt32LE(0),
    c_oflag: bytes.readUInt32LE(4),
    c_cflag: bytes.readUInt32LE(8),
    c_lflag: bytes.readUInt32LE(12),
    c_line: bytes[LINE]!,
    c_ispeed: 0,
    c_ospeed: 0,
    c_cc: Array.from({ length: CHARACTER_COUNT }, (_, index) => words.readUInt32LE(4 * index)),
  };
}

export function nothingLocked(): TermiosEntry {
  return termiosEntry(Buffer.alloc(TERMIOS_SIZE));
}

export function termiosBytes(entry: TermiosEntry): Buffer {
  const bytes = Buffer.alloc(TERMIOS_SIZE);
  bytes.writeUInt32LE(entry.c_iflag, 0);
  bytes.writeUInt32LE(entry.c_oflag, 4);
  bytes.writeUInt32LE(entry.c_cflag, 8);
  bytes.writeUInt32LE(entry.c_lflag, 12);
  bytes[LINE] = entry.c_line;
  const words = Buffer.alloc(4 * CHARACTER_COUNT);
  entry.c_cc.slice(0, CHARACTER_COUNT).forEach((word, index) => {
    words.writeUInt32LE(word, 4 * index);
  });
  words.copy(bytes, CHARACTERS, 0, CHARACTER_COUNT);
  return bytes;
}

export function readWinsize(fd: number): WinsizeEntry {
  const bytes = Buffer.alloc(8);
  rawSyscall('ioctl', fd, TIOCGWINSZ, bytes);
  return {
    ws_row: bytes.readUInt16LE(0),
    ws_col: bytes.readUInt16LE(2),
    ws_xpixel: bytes.readUInt16LE(4),
    ws_ypixel: bytes.readUInt16LE(6),
  };
}

export function winsizeBytes({ ws_row, ws_col, ws_xpixel, ws_ypixel }: WinsizeEntry): Buffer {
  const bytes = Buffer.alloc(8);
  [ws_row, ws_col, ws_xpixel, ws_ypixel].forEach((value, index) => {
    bytes.writeUInt16LE(value & 0xffff, 2 * index);
  });
  return bytes;
}

/** Of master sides alone: the others answer ENOTTY. */
export function isInPacketMode(fd: number): boolean {
  const value = new Int32Array(1);
  return rawSyscall('ioctl', fd, TIOCGPKT, value) === 0 && value[0] !== 0;
}

export function isExclusive(fd: number): boolean {
  const value = new Int32Array(1);
  rawSyscall('ioctl', fd, TIOCGEXCL, value);
  return value[0] !== 0;
}
