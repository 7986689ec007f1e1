/** Images as JSON and back, in crit's form: `{"magic": "CORE", "entries": [...]}`, bytes in base64. */
import type { ImageRecord } from '@crts/plugin-api';
import { ImageError } from './errors';
import type { ImageItem } from './image-file';
import {
  DICTS,
  FLAGS,
  readAddress,
  readDevice,
  readFlags,
  readUnixName,
  showAddress,
  showBytes,
  showDevice,
  showFlags,
  showUnixName,
} from './json-show';
import type { ImageKind } from './kinds';
import { enumName, enumValue, type FieldSchema, type MessageSchema, messageSchema } from './schema';

/** A tree of JSON in which integers may be bigint. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | { readonly [key: string]: Json };

/** `pretty` shows addresses in hex and flags by name, as `crit show` does; without it numbers are numbers. */
export function imageToJson(kind: ImageKind, items: readonly ImageItem[], pretty = false): Json {
  const before: ImageRecord[] = [];
  const entries = items.map(({ value, extra }) => {
    const shown = showMessage(messageSchema(kind.messageAt(before)), value, pretty, false) as Record<string, Json>;
    before.push(value);
    return extra === undefined ? shown : { ...shown, extra: showExtra(kind, value, extra) };
  });
  return { magic: kind.magicName, entries };
}

/** Items of an image from either form. @throws ImageError naming entry and field */
export function imageFromJson(kind: ImageKind, json: Json): ImageItem[] {
  const { magic, entries } = json as { magic?: Json; entries?: Json };
  if (magic !== kind.magicName)
    throw new ImageError('CRTS_IMAGE_MAGIC', `magic is ${String(magic)}, ${kind.kind} has ${kind.magicName}`);
  if (!Array.isArray(entries)) throw new ImageError('CRTS_IMAGE_FIELD', 'entries is no list');
  const before: ImageRecord[] = [];
  return entries.map((entry: Record<string, Json>, index) => {
    const { extra, ...rest } = entry;
    const message = kind.messageAt(before);
    try {
      const value = readMessage(messageSchema(message), rest, message);
      before.push(value);
      return extra === undefined ? { value } : { value, extra: readExtra(extra) };
    } catch (error) {
      throw error instanceof ImageError ? error.at({ entry: index }) : error;
    }
  });
}

/** JSON text with bigints as plain numbers. */
export function stringifyJson(json: Json, indent = '', step = '    '): string {
  if (typeof json === 'bigint') return json.toString();
  if (json === null || typeof json !== 'object') return JSON.stringify(json);
  const inner = indent + step;
  if (Array.isArray(json)) {
    return json.length === 0
      ? '[]'
      : `[\n${json.map((one) => inner + stringifyJson(one, inner, step)).join(',\n')}\n${indent}]`;
  }
  const pairs = Object.entries(json).map(
    ([key, value]) => `${inner}${JSON.stringify(key)}: ${stringifyJson(value, inner, step)}`,
  );
  return pairs.length === 0 ? '{}' : `{\n${pairs.join(',\n')}\n${indent}}`;
}

const BIG = '\u0000big:';

/** The reverse: integers beyond 2^53 come as bigint, not rounded. */
export function parseJson(text: string): Json {
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}/g, (token) =>
    token.startsWith('"') ? token : JSON.stringify(BIG + token),
  );
  return JSON.parse(marked, (_key, value) =>
    typeof value === 'string' && value.startsWith(BIG) ? BigInt(value.slice(BIG.length)) : value,
  ) as Json;
}

function showMessage(schema: MessageSchema, value: ImageRecord, pretty: boolean, hex: boolean): Json {
  const shown: Record<string, Json> = {};
  for (const field of schema.fields) {
    const given = value[field.name];
    if (given === undefined || given === null) continue;
    const inHex = hex || field.show.split(',').includes('hex');
    if (!field.repeated) shown[field.name] = showValue(field, given, pretty, inHex);
    else if ((given as unknown[]).length > 0) {
      const address = pretty && field.show === 'ip';
      shown[field.name] = address
        ? [showAddress(given as number[])]
        : (given as unknown[]).map((one) => showValue(field, one, pretty, inHex));
    }
  }
  return shown;
}

function showValue(field: FieldSchema, value: unknown, pretty: boolean, hex: boolean): Json {
  if (field.type === 'message') return showMessage(messageSchema(field.ref), value as ImageRecord, pretty, hex);
  if (field.type === 'enum') return enumName(field.ref, value as number) ?? (value as number);
  if (field.type === 'bytes')
    return field.show.startsWith('conv=unix_name') ? showUnixName(value as Uint8Array) : showBytes(value as Uint8Array);
  if (!pretty || (typeof value !== 'number' && typeof value !== 'bigint')) return value as Json;
  if (hex) return `0x${value.toString(16)}`;
  const show = field.show.split(',');
  if (show.includes('dev')) return showDevice(Number(value), show.includes('odev'));
  const flags = option(show, 'flags');
  if (flags !== undefined)
    return FLAGS[flags] === undefined ? `0x${value.toString(16)}` : showFlags(Number(value), FLAGS[flags]);
  const dict = option(show, 'dict');
  return dict === undefined ? value : (DICTS[dict]?.[field.name]?.[Number(value)] ?? value);
}

function option(show: readonly string[], name: string): string | undefined {
  return show.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1);
}

function readMessage(schema: MessageSchema, json: Record<string, Json>, path: string): ImageRecord {
  const value: ImageRecord = {};
  for (const field of schema.fields) if (field.repeated) value[field.name] = [];
  for (const [key, given] of Object.entries(json)) {
    const field = schema.byName.get(key);
    const at = `${path}.${key}`;
    if (field === undefined)
      throw new ImageError('CRTS_IMAGE_FIELD', `${schema.name} has no field of this name`, { field: at });
    if (!field.repeated) value[key] = readValue(field, given, at);
    else if (!Array.isArray(given)) throw new ImageError('CRTS_IMAGE_FIELD', 'a list belongs here', { field: at });
    else if (field.show === 'ip' && typeof given[0] === 'string')
      value[key] = readAddress(given[0]) ?? bad(given[0], at);
    else value[key] = given.map((one: Json) => readValue(field, one, at));
  }
  return value;
}

function bad(given: Json, at: string): never {
  throw new ImageError('CRTS_IMAGE_FIELD', `${String(given)} is no value of this field`, { field: at });
}

function readValue(field: FieldSchema, given: Json, at: string): unknown {
  if (field.type === 'message') return readMessage(messageSchema(field.ref), given as Record<string, Json>, at);
  if (field.type === 'enum') return typeof given === 'string' ? (enumValue(field.ref, given) ?? bad(given, at)) : given;
  if (field.type === 'string' || field.type === 'bool') return given;
  if (field.type === 'bytes') {
    if (typeof given !== 'string') bad(given, at);
    return field.show.startsWith('conv=unix_name') ? readUnixName(given) : Buffer.from(given, 'base64');
  }
  const number = typeof given === 'string' ? readNumber(field, given, at) : given;
  return field.type.endsWith('64') ? BigInt(number as number | bigint) : Number(number);
}

/** A number that was written as text: hex, device, flags, or a name of a dictionary. */
function readNumber(field: FieldSchema, given: string, at: string): number | bigint {
  const show = field.show.split(',');
  if (show.includes('dev')) return readDevice(given, show.includes('odev')) ?? bad(given, at);
  const flags = option(show, 'flags');
  if (flags !== undefined && FLAGS[flags] !== undefined) return readFlags(given, FLAGS[flags]) ?? bad(given, at);
  const dict = option(show, 'dict');
  const named =
    dict === undefined
      ? undefined
      : Object.entries(DICTS[dict]?.[field.name] ?? {}).find(([, name]) => name === given)?.[0];
  if (named !== undefined) return Number(named);
  if (!/^-?(0x[0-9a-f]+|\d+)$/i.test(given)) bad(given, at);
  return BigInt(given);
}

/** tcp-stream has two queues behind an entry, everything else one piece. */
function showExtra(kind: ImageKind, value: ImageRecord, extra: Buffer): Json {
  if (kind.kind !== 'tcp-stream') return showBytes(extra);
  const split = Number(value.inq_len);
  return { inq: showBytes(extra.subarray(0, split)), outq: showBytes(extra.subarray(split)) };
}

function readExtra(extra: Json): Buffer {
  if (typeof extra === 'string') return Buffer.from(extra, 'base64');
  const { inq, outq } = extra as { inq: string; outq: string };
  return Buffer.concat([Buffer.from(inq, 'base64'), Buffer.from(outq, 'base64')]);
}
