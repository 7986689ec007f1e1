/** Framing: two magic words, then entries of u32 size, message, and the bytes that the message announces. */
import type { ImageRecord } from '@crts/plugin-api';
import { type Decoded, decodeMessage, REPEATED_MAX, sameAsLast, writeMessage } from './codec';
import { ImageError } from './errors';
import { IMAGE_MAGIC, type ImageKind, kindByMagic, SERVICE_MAGIC } from './kinds';
import { WireWriter } from './wire';

/** One entry of an image. */
export interface ImageItem {
  readonly value: ImageRecord;
  /** Bytes behind the message: ghost contents, queued packets. */
  readonly extra?: Buffer | undefined;
}

/** No message of the format comes near it: the largest, mm_entry, has some 60 bytes for each of 65,530 mappings. */
export const MESSAGE_MAX = 64 * 1024 * 1024;

/** Bytes by position: a file or a buffer. Reads less than asked only at the end. */
export interface ByteSource {
  readonly sizeBytes: number;
  /** All of it, where it is in memory: entries are decoded in place then. */
  readonly bytes?: Buffer | undefined;
  read(offset: number, lengthBytes: number): Buffer;
}

export function bufferSource(bytes: Buffer): ByteSource {
  return { sizeBytes: bytes.length, bytes, read: (offset, length) => bytes.subarray(offset, offset + length) };
}

/** Kind of an image from its first words. */
export function detectKind(source: ByteSource, file: string): ImageKind {
  const head = source.read(0, 8);
  if (head.length < 4)
    throw new ImageError('CRTS_IMAGE_TRUNCATED', `${source.sizeBytes} bytes hold no magic`, { file });
  const first = head.readUInt32LE(0);
  if (first !== IMAGE_MAGIC && first !== SERVICE_MAGIC) return kindByMagic(first, file);
  if (head.length < 8)
    throw new ImageError('CRTS_IMAGE_TRUNCATED', `${source.sizeBytes} bytes hold no magic`, { file });
  return kindByMagic(head.readUInt32LE(4), file);
}

function checkMagic(source: ByteSource, kind: ImageKind, file: string): number {
  const words =
    kind.prefix === 'none' ? [kind.magic] : [kind.prefix === 'service' ? SERVICE_MAGIC : IMAGE_MAGIC, kind.magic];
  const head = source.read(0, words.length * 4);
  if (head.length < words.length * 4) {
    throw new ImageError('CRTS_IMAGE_TRUNCATED', `${source.sizeBytes} bytes hold no magic of ${kind.kind}`, { file });
  }
  words.forEach((word, index) => {
    const found = head.readUInt32LE(4 * index);
    if (found !== word) {
      throw new ImageError(
        'CRTS_IMAGE_MAGIC',
        `magic is 0x${found.toString(16)}, ${kind.kind} has 0x${word.toString(16)}`,
        { file, offset: 4 * index },
      );
    }
  });
  return words.length * 4;
}

/** Where the bytes behind an entry lie. */
export interface ExtraPlace {
  readonly value: ImageRecord;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Entries one after the other; holds one at a time. */
export function* readItems(source: ByteSource, kind: ImageKind, file: string): Generator<ImageItem> {
  for (const { value, offset, sizeBytes } of readPlaces(source, kind, file))
    yield { value, extra: sizeBytes > 0 ? source.read(offset, sizeBytes) : undefined };
}

/** The same without the bytes behind the entries. Lengths are checked against the file before anything is allocated. */
export function* readPlaces(source: ByteSource, kind: ImageKind, file: string): Generator<ExtraPlace> {
  let offset = checkMagic(source, kind, file);
  const before: ImageRecord[] = [];
  // What does not take the entries before does not ask for them: of a hundred thousand none is kept for it.
  const asksForThem = kind.messageAt.length > 0 || kind.extraAfter.length > 2;
  for (let entry = 0; offset < source.sizeBytes; entry++) {
    const place = { file, offset, entry };
    const sizeBytes = source.sizeBytes - offset;
    if (sizeBytes < 4)
      throw new ImageError('CRTS_IMAGE_TRUNCATED', `${sizeBytes} bytes are left, a size takes 4`, place);
    const { bytes } = source;
    const length = bytes === undefined ? source.read(offset, 4).readUInt32LE(0) : bytes.readUInt32LE(offset);
    if (length > sizeBytes - 4) {
      throw new ImageError('CRTS_IMAGE_TRUNCATED', `an entry of ${length} bytes, ${sizeBytes - 4} are left`, place);
    }
    if (length > MESSAGE_MAX)
      throw new ImageError(
        'CRTS_IMAGE_LENGTH',
        `an entry of ${length} bytes is above the limit of ${MESSAGE_MAX}`,
        place,
      );
    const message = kind.messageAt(before);
    const start = bytes === undefined ? 0 : offset + 4;
    const value = decodeAt(message, bytes ?? source.read(offset + 4, length), start, start + length, place);
    offset += 4 + length;
    const rest = source.sizeBytes - offset;
    const extraSize = kind.extraAfter(value, rest, before);
    if (extraSize > rest)
      throw new ImageError('CRTS_IMAGE_TRUNCATED', `${extraSize} bytes follow the entry, ${rest} are left`, place);
    if (asksForThem) before.push(value);
    yield { value, offset, sizeBytes: extraSize };
    offset += extraSize;
  }
}

/** What was decoded last in each of the first places of an image, by message: codec.ts, REPEATED_MAX. */
const lastEntries = new Map<string, Decoded[]>();
const LAST_MAX = 64;

/** Offsets in errors are counted from the start of the file: `place.offset` is the entry's. */
function decodeAt(
  message: string,
  bytes: Buffer,
  start: number,
  end: number,
  place: { file: string; offset: number; entry: number },
): ImageRecord {
  const isKept = bytes.length <= REPEATED_MAX && place.entry < LAST_MAX;
  const last = isKept ? (lastEntries.get(message) ?? []) : [];
  // Which message it is may depend on the entries before.
  const known = sameAsLast(last[place.entry], bytes, start, end);
  if (known !== undefined) return known;
  try {
    const value = decodeMessage(message, bytes, start, end);
    if (isKept) {
      last[place.entry] = { bytes, start, end, value };
      lastEntries.set(message, last);
    }
    return value;
  } catch (error) {
    throw error instanceof ImageError ? error.at({ ...place, offset: place.offset + 4 - start }) : error;
  }
}

/** The bytes of an image. `writer` may be used again and again; what is returned lasts until then. */
export function encodeImage(kind: ImageKind, items: readonly ImageItem[], writer = new WireWriter()): Buffer {
  writer.beginAnew();
  if (kind.prefix !== 'none') writer.fixed32(kind.prefix === 'service' ? SERVICE_MAGIC : IMAGE_MAGIC);
  writer.fixed32(kind.magic);
  const before: ImageRecord[] = [];
  for (const { value, extra } of items) {
    const at = writer.beginSized();
    writeMessage(kind.messageAt(before), value, writer);
    writer.endSized(at);
    const extraSize = extra?.length ?? 0;
    const announced = kind.extraAfter(value, extraSize, before);
    if (extraSize !== announced) {
      throw new ImageError(
        'CRTS_IMAGE_FIELD',
        `entry ${before.length} announces ${announced} bytes behind it, ${extraSize} are given`,
        { entry: before.length },
      );
    }
    if (extra !== undefined) writer.raw(extra);
    before.push(value);
  }
  return writer.finish();
}
