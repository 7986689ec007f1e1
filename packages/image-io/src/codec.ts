import { decodeName, encodeName, type ImageRecord } from '@crts/plugin-api';
import { ImageError } from './errors';
import { type FieldSchema, type MessageSchema, messageSchema } from './schema';
import { WIRE, WireReader, WireWriter } from './wire';

/** No message of the format nests deeper than 6; a hostile one may not nest without end. */
const DEPTH_MAX = 32;

/** Fields that this version does not know are kept under this key and written again behind the known ones before them. */
const UNKNOWN = Symbol('unknown fields');

interface UnknownField {
  readonly number: number;
  readonly bytes: Buffer;
}

type Bag = ImageRecord & { [UNKNOWN]?: UnknownField[] };

/** Decodes one message. 64-bit fields are bigint, 32-bit ones number, `string`s names (see decodeName). */
export function decodeMessage(name: string, bytes: Buffer): ImageRecord {
  return decode(messageSchema(name), new WireReader(bytes), name, 0);
}

/** Encodes one message in ascending field order, as protobuf-c does. Unknown keys and unsafe numbers are errors. */
export function encodeMessage(name: string, value: ImageRecord): Buffer {
  const writer = new WireWriter();
  encode(messageSchema(name), value as Bag, writer, name);
  return writer.finish();
}

function decode(schema: MessageSchema, reader: WireReader, path: string, depth: number): ImageRecord {
  if (depth > DEPTH_MAX)
    throw new ImageError('CRTS_IMAGE_WIRE', 'messages are nested too deep', { offset: reader.at, field: path });
  const value: Bag = {};
  for (const field of schema.fields) if (field.repeated) value[field.name] = [];
  while (reader.at < reader.end) {
    const start = reader.at;
    reader.varint();
    if (reader.high !== 0)
      throw new ImageError('CRTS_IMAGE_WIRE', 'a field number is too large', { offset: start, field: path });
    const number = reader.low >>> 3;
    const wire = reader.low & 7;
    const field = schema.byNumber.get(number);
    if (field === undefined || number === 0) {
      if (number === 0)
        throw new ImageError('CRTS_IMAGE_WIRE', 'field number 0 does not exist', { offset: start, field: path });
      reader.skip(wire);
      value[UNKNOWN] ??= [];
      value[UNKNOWN].push({ number, bytes: Buffer.from(reader.bytes.subarray(start, reader.at)) });
      continue;
    }
    readField(field, wire, reader, value, `${path}.${field.name}`, depth);
  }
  for (const field of schema.fields) {
    if (field.required && value[field.name] === undefined) {
      throw new ImageError('CRTS_IMAGE_FIELD', 'a required field is missing', {
        offset: reader.at,
        field: `${path}.${field.name}`,
      });
    }
  }
  return value;
}

function readField(
  field: FieldSchema,
  wire: number,
  reader: WireReader,
  value: Bag,
  path: string,
  depth: number,
): void {
  if (field.repeated && wire === WIRE.BYTES && field.wire !== WIRE.BYTES) {
    // Packed: the sender may choose it for any repeated scalar.
    const length = reader.length();
    const packed = new WireReader(reader.bytes, reader.at, reader.at + length);
    while (packed.at < packed.end) (value[field.name] as unknown[]).push(readScalar(field, packed, path, depth));
    reader.advance(length);
    return;
  }
  if (wire !== field.wire) {
    throw new ImageError('CRTS_IMAGE_WIRE', `wire type ${wire} where ${field.wire} belongs`, {
      offset: reader.at,
      field: path,
    });
  }
  const one = readScalar(field, reader, path, depth);
  if (field.repeated) (value[field.name] as unknown[]).push(one);
  else value[field.name] = one;
}

function readScalar(field: FieldSchema, reader: WireReader, path: string, depth: number): unknown {
  switch (field.type) {
    case 'uint32':
      return reader.uint32();
    case 'int32':
    case 'enum':
      return reader.uint32() | 0;
    case 'sint32': {
      const bits = reader.uint32();
      return (bits >>> 1) ^ -(bits & 1);
    }
    case 'uint64':
      return reader.uint64();
    case 'int64':
      return BigInt.asIntN(64, reader.uint64());
    case 'sint64': {
      const bits = reader.uint64();
      return BigInt.asIntN(64, (bits >> 1n) ^ -(bits & 1n));
    }
    case 'bool':
      reader.varint();
      return reader.low !== 0 || reader.high !== 0;
    case 'fixed32':
      return reader.fixed32();
    case 'sfixed32':
      return reader.fixed32() | 0;
    case 'fixed64':
      return reader.fixed64();
    case 'sfixed64':
      return BigInt.asIntN(64, reader.fixed64());
    default: {
      const length = reader.length();
      const start = reader.at;
      reader.advance(length);
      if (field.type === 'message') {
        return decode(messageSchema(field.ref), new WireReader(reader.bytes, start, start + length), path, depth + 1);
      }
      const piece = reader.bytes.subarray(start, start + length);
      return field.type === 'string' ? decodeName(piece) : Buffer.from(piece);
    }
  }
}

function encode(schema: MessageSchema, value: Bag, writer: WireWriter, path: string): void {
  for (const key of Object.keys(value)) {
    if (!schema.byName.has(key))
      throw new ImageError('CRTS_IMAGE_FIELD', `${schema.name} has no field of this name`, { field: `${path}.${key}` });
  }
  const unknown = value[UNKNOWN] === undefined ? [] : [...value[UNKNOWN]];
  for (const field of schema.fields) {
    while (unknown.length > 0 && unknown[0]!.number < field.number) writer.raw(unknown.shift()!.bytes);
    const given = value[field.name];
    if (given === undefined || given === null) {
      if (field.required)
        throw new ImageError('CRTS_IMAGE_FIELD', 'a required field is missing', { field: `${path}.${field.name}` });
      continue;
    }
    for (const one of field.repeated ? (given as unknown[]) : [given]) {
      writer.uint32(((field.number << 3) | field.wire) >>> 0);
      writeScalar(field, one, writer, `${path}.${field.name}`);
    }
  }
  for (const field of unknown) writer.raw(field.bytes);
}

function writeScalar(field: FieldSchema, value: unknown, writer: WireWriter, path: string): void {
  switch (field.type) {
    case 'uint32':
      writer.uint32(integer(value, 0, 0xffff_ffff, path));
      return;
    case 'int32':
    case 'enum': {
      const number = integer(value, -0x8000_0000, 0x7fff_ffff, path);
      // A negative number is sign-extended to 64 bits, ten bytes.
      if (number < 0) writer.uint64(BigInt(number));
      else writer.uint32(number);
      return;
    }
    case 'sint32': {
      const number = integer(value, -0x8000_0000, 0x7fff_ffff, path);
      writer.uint32(((number << 1) ^ (number >> 31)) >>> 0);
      return;
    }
    case 'uint64':
      writer.uint64(big(value, 0n, 2n ** 64n - 1n, path));
      return;
    case 'int64':
      writer.uint64(big(value, -(2n ** 63n), 2n ** 63n - 1n, path));
      return;
    case 'sint64': {
      const number = big(value, -(2n ** 63n), 2n ** 63n - 1n, path);
      writer.uint64(BigInt.asUintN(64, (number << 1n) ^ (number >> 63n)));
      return;
    }
    case 'bool':
      writer.uint32(value ? 1 : 0);
      return;
    case 'fixed32':
      writer.fixed32(integer(value, 0, 0xffff_ffff, path));
      return;
    case 'sfixed32':
      writer.fixed32(integer(value, -0x8000_0000, 0x7fff_ffff, path));
      return;
    case 'fixed64':
      writer.fixed64(big(value, 0n, 2n ** 64n - 1n, path));
      return;
    case 'sfixed64':
      writer.fixed64(big(value, -(2n ** 63n), 2n ** 63n - 1n, path));
      return;
    case 'message':
      writer.delimited(() => encode(messageSchema(field.ref), value as Bag, writer, path));
      return;
    default: {
      const bytes = field.type === 'string' ? encodeName(value as string) : (value as Uint8Array);
      writer.uint32(bytes.length);
      writer.raw(bytes);
      return;
    }
  }
}

function integer(value: unknown, min: number, max: number, path: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new ImageError('CRTS_IMAGE_FIELD', `${String(value)} is no integer between ${min} and ${max}`, {
      field: path,
    });
  }
  return value;
}

function big(value: unknown, min: bigint, max: bigint, path: string): bigint {
  if (typeof value !== 'bigint' || value < min || value > max) {
    throw new ImageError('CRTS_IMAGE_FIELD', `${String(value)} is no bigint between ${min} and ${max}`, {
      field: path,
    });
  }
  return value;
}
