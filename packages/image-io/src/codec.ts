import { decodeName, encodeName, type ImageRecord } from '@crts/plugin-api';
import { ImageError } from './errors';
import { CODE, type FieldSchema, type MessageSchema, messageSchema } from './schema';
import { WIRE, WireReader, WireWriter } from './wire';

/** No message of the format nests deeper than 6; a hostile one may not nest without end. */
const DEPTH_MAX = 32;

/** Fields that this version does not know are kept under this key and written again behind the known ones before them. */
const UNKNOWN = Symbol('unknown fields');

interface UnknownField {
  readonly number: number;
  readonly bytes: Buffer;
}

const NONE: UnknownField[] = [];

type Bag = ImageRecord & { [UNKNOWN]?: UnknownField[] };

/**
 * Tasks of a tree have most of their state in common, so that one message is often the one before again: it is decoded once,
 * and those who get it must not change it. Bytes of larger images are not kept for that.
 */
export const REPEATED_MAX = 64 * 1024;

/** A message as it was decoded last, and where it came from. */
export interface Decoded {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  readonly value: ImageRecord;
}

/** The message that was decoded last, where these bytes are its bytes. */
export function sameAsLast(
  last: Decoded | undefined,
  bytes: Buffer,
  start: number,
  end: number,
): ImageRecord | undefined {
  if (last === undefined || last.end - last.start !== end - start) return undefined;
  // Most messages are short, or differ early: for them Node's checks of five arguments take longer than the comparison.
  const shift = last.start - start;
  const near = Math.min(end, start + COMPARED_HERE);
  for (let at = start; at < near; at++) if (bytes[at] !== last.bytes[at + shift]) return undefined;
  if (near < end && bytes.compare(last.bytes, near + shift, last.end, near, end) !== 0) return undefined;
  return last.value;
}

const COMPARED_HERE = 32;

/** Decodes one message. 64-bit fields are bigint, 32-bit ones number, `string`s names (see decodeName). */
export function decodeMessage(name: string, bytes: Buffer, start = 0, end = bytes.length): ImageRecord {
  return decode(messageSchema(name), new WireReader(bytes, start, end), [name]);
}

/** Encodes one message in ascending field order, as protobuf-c does. Unknown keys and unsafe numbers are errors. */
export function encodeMessage(name: string, value: ImageRecord): Buffer {
  const writer = new WireWriter();
  writeMessage(name, value, writer);
  return writer.finish();
}

/** The same, behind what the writer has. */
export function writeMessage(name: string, value: ImageRecord, writer: WireWriter): void {
  encode(messageSchema(name), value as Bag, writer, [name]);
}

/** `trail`: names of the message and of the fields that lead to it, for errors. */
function decode(schema: MessageSchema, reader: WireReader, trail: string[]): ImageRecord {
  if (trail.length > DEPTH_MAX) throw wrong('CRTS_IMAGE_WIRE', 'messages are nested too deep', trail, reader.at);
  const value: Bag = {};
  for (const field of schema.repeated) value[field.name] = [];
  let number = 0;
  let field: FieldSchema | undefined;
  while (reader.at < reader.end) {
    const start = reader.at;
    reader.varint();
    if (reader.high !== 0) throw wrong('CRTS_IMAGE_WIRE', 'a field number is too large', trail, start);
    const wire = reader.low & 7;
    if (number !== reader.low >>> 3) {
      number = reader.low >>> 3;
      field = schema.byNumber.get(number);
    }
    if (field === undefined) {
      if (number === 0) throw wrong('CRTS_IMAGE_WIRE', 'field number 0 does not exist', trail, start);
      reader.skip(wire);
      value[UNKNOWN] ??= [];
      value[UNKNOWN].push({ number, bytes: Buffer.from(reader.bytes.subarray(start, reader.at)) });
      continue;
    }
    readField(field, wire, reader, value, trail);
  }
  for (const field of schema.required) {
    if (value[field.name] === undefined)
      throw wrong('CRTS_IMAGE_FIELD', 'a required field is missing', [...trail, field.name], reader.at);
  }
  return value;
}

function readField(field: FieldSchema, wire: number, reader: WireReader, value: Bag, trail: string[]): void {
  const { name } = field;
  if (wire === field.wire) {
    const one = readScalar(field, reader, trail);
    if (field.repeated) (value[name] as unknown[]).push(one);
    else value[name] = one;
    return;
  }
  if (!field.repeated || wire !== WIRE.BYTES)
    throw wrong('CRTS_IMAGE_WIRE', `wire type ${wire} where ${field.wire} belongs`, [...trail, name], reader.at);
  // Packed: the sender may choose it for any repeated scalar.
  const length = reader.length();
  const packed = new WireReader(reader.bytes, reader.at, reader.at + length);
  while (packed.at < packed.end) (value[name] as unknown[]).push(readScalar(field, packed, trail));
  reader.advance(length);
}

function readScalar(field: FieldSchema, reader: WireReader, trail: string[]): unknown {
  switch (field.code) {
    case CODE.uint32:
      return reader.uint32();
    case CODE.int32:
      return reader.uint32() | 0;
    case CODE.sint32: {
      const bits = reader.uint32();
      return (bits >>> 1) ^ -(bits & 1);
    }
    case CODE.uint64:
      return reader.uint64();
    case CODE.int64:
      return BigInt.asIntN(64, reader.uint64());
    case CODE.sint64: {
      const bits = reader.uint64();
      return BigInt.asIntN(64, (bits >> 1n) ^ -(bits & 1n));
    }
    case CODE.bool:
      reader.varint();
      return reader.low !== 0 || reader.high !== 0;
    case CODE.fixed32:
      return reader.fixed32();
    case CODE.sfixed32:
      return reader.fixed32() | 0;
    case CODE.fixed64:
      return reader.fixed64();
    case CODE.sfixed64:
      return BigInt.asIntN(64, reader.fixed64());
    case CODE.message: {
      const length = reader.length();
      const start = reader.at;
      reader.advance(length);
      const known = sameAsLast(field.last, reader.bytes, start, start + length);
      if (known !== undefined) return known;
      trail.push(field.name);
      const value = decode(messageSchema(field.ref), new WireReader(reader.bytes, start, start + length), trail);
      trail.pop();
      if (reader.bytes.length <= REPEATED_MAX) field.last = { bytes: reader.bytes, start, end: start + length, value };
      return value;
    }
    default: {
      const length = reader.length();
      const start = reader.at;
      reader.advance(length);
      const piece = reader.bytes.subarray(start, start + length);
      return field.code === CODE.string ? decodeName(piece) : Buffer.from(piece);
    }
  }
}

function encode(schema: MessageSchema, value: Bag, writer: WireWriter, trail: string[]): void {
  const unknown = value[UNKNOWN] === undefined ? NONE : [...value[UNKNOWN]];
  let keys = 0;
  for (const field of schema.fields) {
    if (unknown !== NONE)
      while (unknown.length > 0 && unknown[0]!.number < field.number) writer.raw(unknown.shift()!.bytes);
    const given = value[field.name];
    if (given === undefined || given === null) {
      if (field.required) throw wrong('CRTS_IMAGE_FIELD', 'a required field is missing', [...trail, field.name]);
      continue;
    }
    keys += 1;
    if (field.repeated) {
      if (writeAgain(field, given, writer)) continue;
      const at = writer.length;
      if (!writeNumbers(field, given as unknown[], writer))
        for (const one of given as unknown[]) {
          writer.uint32(field.tag);
          writeScalar(field, one, writer, trail);
        }
      keep(field, given, writer, at);
    } else {
      writer.uint32(field.tag);
      writeScalar(field, given, writer, trail);
    }
  }
  // Most messages have no other keys, which is seen without asking for each.
  const all = Object.keys(value);
  if (all.length !== keys) refuseOthers(schema, all, trail);
  for (const field of unknown) writer.raw(field.bytes);
}

/**
 * What a handler has frozen cannot change: the action of a signal that has none, registers that are not in use, a mapping that tasks of
 * a tree have in common. There are many of them, and the bytes that were written for one are its bytes: with their length.
 */
const messages = new WeakMap<object, { readonly name: string; readonly bytes: Buffer }>();

/** The same of a repeated field, of which the last is known. */
function writeAgain({ constant }: FieldSchema, value: unknown, writer: WireWriter): boolean {
  if (constant === undefined || constant.value !== value) return false;
  writer.raw(constant.bytes);
  return true;
}

function keep(field: FieldSchema, value: unknown, writer: WireWriter, at: number): void {
  if (Object.isFrozen(value)) field.constant = { value, bytes: writer.copyFrom(at) };
}

/** Registers of a thread are some 400 numbers. False: what is wrong with them is to be told, or they are of another type. */
function writeNumbers({ code, tag }: FieldSchema, values: readonly unknown[], writer: WireWriter): boolean {
  const at = writer.length;
  if (code === CODE.uint32 && writer.uint32s(tag, values)) return true;
  if (code === CODE.uint64 && writer.uint64s(tag, values)) return true;
  writer.length = at;
  return false;
}

function refuseOthers(schema: MessageSchema, keys: readonly string[], trail: readonly string[]): void {
  for (const key of keys) {
    if (!schema.byName.has(key))
      throw wrong('CRTS_IMAGE_FIELD', `${schema.name} has no field of this name`, [...trail, key]);
  }
}

function writeScalar(field: FieldSchema, value: unknown, writer: WireWriter, trail: string[]): void {
  switch (field.code) {
    case CODE.uint32:
      writer.uint32((value as number) >>> 0 === value ? value : integer(value, 0, 0xffff_ffff, field, trail));
      return;
    case CODE.int32: {
      const number = integer(value, -0x8000_0000, 0x7fff_ffff, field, trail);
      // A negative number is sign-extended to 64 bits, ten bytes.
      if (number < 0) writer.uint64(BigInt.asUintN(64, BigInt(number)));
      else writer.uint32(number);
      return;
    }
    case CODE.sint32: {
      const number = integer(value, -0x8000_0000, 0x7fff_ffff, field, trail);
      writer.uint32(((number << 1) ^ (number >> 31)) >>> 0);
      return;
    }
    case CODE.uint64:
      if (!writer.unsigned64(value)) unsigned(value, field, trail);
      return;
    case CODE.int64:
      if (!writer.signed64(value)) signed(value, field, trail);
      return;
    case CODE.sint64: {
      const number = signed(value, field, trail);
      writer.uint64((number << 1n) ^ (number >> 63n));
      return;
    }
    case CODE.bool:
      writer.uint32(value ? 1 : 0);
      return;
    case CODE.fixed32:
      writer.fixed32(integer(value, 0, 0xffff_ffff, field, trail));
      return;
    case CODE.sfixed32:
      writer.fixed32(integer(value, -0x8000_0000, 0x7fff_ffff, field, trail));
      return;
    case CODE.fixed64:
      writer.fixed64(unsigned(value, field, trail));
      return;
    case CODE.sfixed64:
      writer.fixed64(signed(value, field, trail));
      return;
    case CODE.message: {
      const known = Object.isFrozen(value) ? messages.get(value as object) : undefined;
      if (known !== undefined && known.name === field.ref) {
        writer.raw(known.bytes);
        return;
      }
      const at = writer.begin();
      trail.push(field.name);
      encode(messageSchema(field.ref), value as Bag, writer, trail);
      trail.pop();
      writer.end(at);
      if (Object.isFrozen(value)) messages.set(value as object, { name: field.ref, bytes: writer.copyFrom(at) });
      return;
    }
    default: {
      const bytes = field.code === CODE.string ? encodeName(value as string) : (value as Uint8Array);
      writer.uint32(bytes.length);
      writer.raw(bytes);
    }
  }
}

function integer(value: unknown, min: number, max: number, { name }: FieldSchema, trail: readonly string[]): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw wrong('CRTS_IMAGE_FIELD', `${String(value)} is no integer between ${min} and ${max}`, [...trail, name]);
}

function unsigned(value: unknown, { name }: FieldSchema, trail: readonly string[]): bigint {
  if (typeof value === 'bigint' && BigInt.asUintN(64, value) === value) return value;
  throw wrong('CRTS_IMAGE_FIELD', `${String(value)} is no unsigned bigint of 64 bits`, [...trail, name]);
}

function signed(value: unknown, { name }: FieldSchema, trail: readonly string[]): bigint {
  if (typeof value === 'bigint' && BigInt.asIntN(64, value) === value) return value;
  throw wrong('CRTS_IMAGE_FIELD', `${String(value)} is no signed bigint of 64 bits`, [...trail, name]);
}

function wrong(
  code: 'CRTS_IMAGE_WIRE' | 'CRTS_IMAGE_FIELD',
  what: string,
  trail: readonly string[],
  offset?: number,
): ImageError {
  return new ImageError(code, what, { offset, field: trail.join('.') });
}
