/** Protocol buffer wire format: https://protobuf.dev/programming-guides/encoding/. Varints of up to 64 bits. */
import { ImageError } from './errors';

export const WIRE = { VARINT: 0, FIXED64: 1, BYTES: 2, FIXED32: 5 } as const;

const TWO32 = 0x1_0000_0000;
/** The two words of a 64-bit number: crts runs on little-endian machines. */
const WORD64 = new BigUint64Array(1);
const WORD32 = new Uint32Array(WORD64.buffer);
const SIGNED64 = new BigInt64Array(WORD64.buffer);
const MAX32 = 0xffff_ffff;
/** No limit, no descriptor: the longest number, and a frequent one. */
const MINUS_ONE = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01);

/** Reads one message; every length is checked against the end before anything is made of it. */
export class WireReader {
  readonly bytes: Buffer;
  readonly end: number;
  at: number;
  /** Words of the last varint, each unsigned. */
  low = 0;
  high = 0;

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  /** Reads a varint into `low` and `high`. */
  varint(): void {
    const { bytes, end } = this;
    // Nearly all are of one byte.
    const first = this.at < end ? bytes[this.at]! : 0x80;
    if (first < 0x80) {
      this.at += 1;
      this.low = first;
      this.high = 0;
      return;
    }
    let low = 0;
    let high = 0;
    // Bits of the bytes 0 to 4 are the low word's, and the last three of byte 4 and all that follow the high one's.
    for (let index = 0; index < 10; index++) {
      if (this.at >= end)
        throw new ImageError('CRTS_IMAGE_WIRE', 'a number runs over the end of its message', { offset: this.at });
      const byte = bytes[this.at++]!;
      const bits = byte & 0x7f;
      if (index < 5) low |= bits << (7 * index);
      if (index === 4) high = bits >>> 4;
      else if (index > 4) high |= bits << (7 * index - 32);
      if (byte < 0x80) {
        this.low = low >>> 0;
        this.high = high >>> 0;
        return;
      }
    }
    throw new ImageError('CRTS_IMAGE_WIRE', 'a number is longer than 64 bits', { offset: this.at });
  }

  uint32(): number {
    this.varint();
    return this.low;
  }

  uint64(): bigint {
    this.varint();
    WORD32[0] = this.low;
    WORD32[1] = this.high;
    return WORD64[0]!;
  }

  fixed32(): number {
    this.need(4);
    const value = this.bytes.readUInt32LE(this.at);
    this.at += 4;
    return value;
  }

  fixed64(): bigint {
    this.need(8);
    const value = this.bytes.readBigUInt64LE(this.at);
    this.at += 8;
    return value;
  }

  /** Length of a length-delimited field, checked; the caller reads that many bytes. */
  length(): number {
    this.varint();
    if (this.high !== 0 || this.low > this.end - this.at) {
      throw new ImageError(
        'CRTS_IMAGE_LENGTH',
        `a field of ${this.high * TWO32 + this.low} bytes runs over the end of its message`,
        { offset: this.at },
      );
    }
    return this.low;
  }

  skip(wireType: number): void {
    if (wireType === WIRE.VARINT) this.varint();
    else if (wireType === WIRE.FIXED64) this.advance(8);
    else if (wireType === WIRE.BYTES) this.advance(this.length());
    else if (wireType === WIRE.FIXED32) this.advance(4);
    else throw new ImageError('CRTS_IMAGE_WIRE', `wire type ${wireType} does not exist`, { offset: this.at });
  }

  advance(count: number): void {
    this.need(count);
    this.at += count;
  }

  private need(count: number): void {
    if (count > this.end - this.at)
      throw new ImageError('CRTS_IMAGE_WIRE', 'a field runs over the end of its message', { offset: this.at });
  }
}

/** Appends to a growing buffer. */
export class WireWriter {
  #bytes = Buffer.allocUnsafe(256);
  length = 0;

  /** All that was written, until it is begun anew. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.length);
  }

  /** Forgets what was written. */
  beginAnew(): void {
    this.length = 0;
  }

  /** A copy of what was written from there on. */
  copyFrom(at: number): Buffer {
    return Buffer.from(this.#bytes.subarray(at, this.length));
  }

  /** Unsigned, at most 32 bits. */
  uint32(value: number): void {
    this.reserve(5);
    if (value < 0x80) this.#bytes[this.length++] = value;
    else this.length = put(this.#bytes, this.length, value);
  }

  /** Two's complement of 64 bits. */
  uint64(value: bigint): void {
    WORD64[0] = value;
    this.word64();
  }

  /** False, and nothing is written, where it is no unsigned bigint of 64 bits. */
  unsigned64(value: unknown): boolean {
    if (typeof value !== 'bigint') return false;
    WORD64[0] = value;
    if (WORD64[0] !== value) return false;
    this.word64();
    return true;
  }

  /** The same with a sign. */
  signed64(value: unknown): boolean {
    if (typeof value !== 'bigint') return false;
    SIGNED64[0] = value;
    if (SIGNED64[0] !== value) return false;
    this.word64();
    return true;
  }

  /** What is in WORD64. */
  private word64(): void {
    let low = WORD32[0]!;
    let high = WORD32[1]!;
    if (high === 0) {
      this.uint32(low);
      return;
    }
    if (high === MAX32 && low === MAX32) {
      this.raw(MINUS_ONE);
      return;
    }
    this.reserve(10);
    const bytes = this.#bytes;
    let at = this.length;
    while (high > 0) {
      bytes[at++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | ((high & 0x7f) << 25)) >>> 0;
      high >>>= 7;
    }
    this.length = put(bytes, at, low);
  }

  /** Each behind its tag. False, and what was written of it is to be taken back, at the first that is no unsigned number of 32 bits. */
  uint32s(tag: number, values: readonly unknown[]): boolean {
    this.reserve(10 * values.length);
    const bytes = this.#bytes;
    let at = this.length;
    for (let index = 0; index < values.length; index++) {
      const value = values[index];
      if (typeof value !== 'number' || value >>> 0 !== value) return false;
      at = put(bytes, put(bytes, at, tag), value);
    }
    this.length = at;
    return true;
  }

  /** The same with 64 bits. */
  uint64s(tag: number, values: readonly unknown[]): boolean {
    this.reserve(15 * values.length);
    for (let index = 0; index < values.length; index++) {
      const value = values[index];
      if (typeof value !== 'bigint' || (value !== 0n && BigInt.asUintN(64, value) !== value)) return false;
      this.length = put(this.#bytes, this.length, tag);
      if (value === 0n) this.#bytes[this.length++] = 0;
      else this.uint64(value);
    }
    return true;
  }

  fixed32(value: number): void {
    this.reserve(4);
    this.#bytes.writeUInt32LE(value >>> 0, this.length);
    this.length += 4;
  }

  fixed64(value: bigint): void {
    this.reserve(8);
    this.#bytes.writeBigUInt64LE(BigInt.asUintN(64, value), this.length);
    this.length += 8;
  }

  /** What is written until end() goes behind its length, which takes one byte; room is made where it needs more. */
  begin(): number {
    this.reserve(5);
    return this.length++;
  }

  end(at: number): void {
    const size = this.length - at - 1;
    if (size < 0x80) {
      this.#bytes[at] = size;
      return;
    }
    const extra = size < 0x4000 ? 1 : size < 0x20_0000 ? 2 : size < 0x1000_0000 ? 3 : 4;
    this.reserve(extra);
    this.#bytes.copyWithin(at + 1 + extra, at + 1, this.length);
    this.length = at;
    this.uint32(size);
    this.length += size;
  }

  /** The same with a length of 32 bits. */
  beginSized(): number {
    this.reserve(4);
    const at = this.length;
    this.length += 4;
    return at;
  }

  endSized(at: number): void {
    this.#bytes.writeUInt32LE(this.length - at - 4, at);
  }

  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  private reserve(more: number): void {
    if (this.length + more <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.length + more));
    this.#bytes.copy(grown, 0, 0, this.length);
    this.#bytes = grown;
  }
}

/** Writes a varint of at most 32 bits where there is room for it; returns where it ends. */
function put(bytes: Buffer, at: number, value: number): number {
  let next = at;
  let rest = value;
  while (rest > 0x7f) {
    bytes[next++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[next++] = rest;
  return next;
}
