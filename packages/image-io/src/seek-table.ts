/**
 * Compressed pages images: frames of zstd or LZ4, each by itself, and at the end a table of their sizes in a skippable frame, as
 * in zstd's seekable format (contrib/seekable_format of zstd), which LZ4's frame format skips as well. `zstd -dc` and `lz4 -dc` read
 * the whole file; with the table any page is found by reading one frame.
 */
import { ImageError } from './errors';

/** Bytes of memory in one frame: what the reading of one page costs at most. */
export const FRAME_BYTES = 256 * 1024;
/** More than any of the formats needs for incompressible data: LZ4_COMPRESSBOUND, ZSTD_COMPRESSBOUND, headers. */
export const FRAME_COMPRESSED_MAX = FRAME_BYTES + FRAME_BYTES / 128 + 1024;

const SKIPPABLE = 0x184d2a5e;
const SEEKABLE = 0x8f92eab1;
const HEADER = 8;
const FOOTER = 9;
const ENTRY = 8;

export interface Frame {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly plainOffset: number;
  readonly plainBytes: number;
}

export interface SeekTable {
  readonly frames: readonly Frame[];
  readonly plainBytes: number;
}

export function encodeSeekTable(sizes: readonly { readonly sizeBytes: number; readonly plainBytes: number }[]): Buffer {
  const bytes = Buffer.alloc(HEADER + ENTRY * sizes.length + FOOTER);
  bytes.writeUInt32LE(SKIPPABLE, 0);
  bytes.writeUInt32LE(bytes.length - HEADER, 4);
  sizes.forEach(({ sizeBytes, plainBytes }, index) => {
    bytes.writeUInt32LE(sizeBytes, HEADER + ENTRY * index);
    bytes.writeUInt32LE(plainBytes, HEADER + ENTRY * index + 4);
  });
  bytes.writeUInt32LE(sizes.length, bytes.length - FOOTER);
  bytes.writeUInt32LE(SEEKABLE, bytes.length - 4);
  return bytes;
}

/** `read` gives bytes of the file, which has `fileBytes`. Everything is checked before it is believed. */
export function readSeekTable(
  fileBytes: number,
  read: (offset: number, length: number) => Buffer,
  file: string,
): SeekTable {
  const bad = (what: string) =>
    new ImageError('CRTS_IMAGE_FRAMES', `the table of frames is damaged: ${what}`, { file });
  if (fileBytes < HEADER + FOOTER) throw bad(`${fileBytes} bytes hold none`);
  const footer = read(fileBytes - FOOTER, FOOTER);
  if (footer.length !== FOOTER || footer.readUInt32LE(5) !== SEEKABLE) throw bad('no mark at the end of the file');
  // Other descriptors announce checksums, which crts does not write, or are reserved.
  if (footer[4] !== 0) throw bad(`descriptor ${footer[4]} is not known`);
  const count = footer.readUInt32LE(0);
  const tableBytes = HEADER + ENTRY * count + FOOTER;
  if (tableBytes > fileBytes) throw bad(`${count} frames do not fit the file`);
  const table = read(fileBytes - tableBytes, tableBytes);
  if (table.readUInt32LE(0) !== SKIPPABLE || table.readUInt32LE(4) !== tableBytes - HEADER) throw bad('it has no head');
  const frames: Frame[] = [];
  let offset = 0;
  let plainOffset = 0;
  for (let index = 0; index < count; index++) {
    const sizeBytes = table.readUInt32LE(HEADER + ENTRY * index);
    const plainBytes = table.readUInt32LE(HEADER + ENTRY * index + 4);
    // All frames but the last have the same size, so that the one of a page is found by a division.
    const isFull = plainBytes === FRAME_BYTES || (index === count - 1 && plainBytes > 0 && plainBytes < FRAME_BYTES);
    if (!isFull || sizeBytes === 0 || sizeBytes > FRAME_COMPRESSED_MAX)
      throw bad(`frame ${index} has ${sizeBytes} bytes for ${plainBytes}`);
    frames.push({ offset, sizeBytes, plainOffset, plainBytes });
    offset += sizeBytes;
    plainOffset += plainBytes;
  }
  if (offset !== fileBytes - tableBytes)
    throw bad(`the frames have ${offset} bytes, the file has ${fileBytes - tableBytes}`);
  return { frames, plainBytes: plainOffset };
}

/** Frames that have bytes of [offset, offset + length). */
export function framesOf({ frames }: SeekTable, offset: number, length: number): readonly Frame[] {
  return frames.slice(Math.floor(offset / FRAME_BYTES), Math.ceil((offset + length) / FRAME_BYTES));
}
