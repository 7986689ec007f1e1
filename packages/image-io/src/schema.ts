import type { Decoded } from './codec';
import { ENUMS, MESSAGE_TEXT } from './generated/messages';
import { WIRE } from './wire';

export interface FieldSchema {
  readonly number: number;
  readonly name: string;
  /** Scalar name, `message` or `enum`. */
  readonly type: string;
  /** Name of the message or enum behind it. */
  readonly ref: string;
  /** CODE of the type: what a switch finds fastest. */
  readonly code: number;
  readonly wire: number;
  /** Number and wire type as they are written. */
  readonly tag: number;
  readonly repeated: boolean;
  readonly required: boolean;
  /** Of a message: the one that was decoded last. */
  last?: Decoded | undefined;
  /** A frozen value that was written last, and its bytes: codec.ts, writeAgain(). */
  constant?: Written | undefined;
  /** How JSON shows it: `hex`, `flags=mmap.prot`; empty for plain. */
  readonly show: string;
}

export interface Written {
  readonly value: unknown;
  readonly bytes: Buffer;
}

export interface MessageSchema {
  readonly name: string;
  /** Ascending by number: the order in which they are written. */
  readonly fields: readonly FieldSchema[];
  readonly repeated: readonly FieldSchema[];
  readonly required: readonly FieldSchema[];
  readonly byNumber: ReadonlyMap<number, FieldSchema>;
  readonly byName: ReadonlyMap<string, FieldSchema>;
}

/** Scalar types and what is like them; enums are int32. */
export const CODE = {
  uint32: 0,
  int32: 1,
  sint32: 2,
  uint64: 3,
  int64: 4,
  sint64: 5,
  bool: 6,
  fixed32: 7,
  sfixed32: 8,
  fixed64: 9,
  sfixed64: 10,
  message: 11,
  string: 12,
  bytes: 13,
} as const;

const CODE_OF: Readonly<Record<string, number>> = { ...CODE, enum: CODE.int32 };

const WIRE_OF: Readonly<Record<string, number>> = {
  string: WIRE.BYTES,
  bytes: WIRE.BYTES,
  message: WIRE.BYTES,
  fixed64: WIRE.FIXED64,
  sfixed64: WIRE.FIXED64,
  fixed32: WIRE.FIXED32,
  sfixed32: WIRE.FIXED32,
};

const parsed = new Map<string, MessageSchema>();
const registered = new Map<string, string>();

/** Adds a message of a plugin's own, in the text form that tools/generate.mjs makes. */
export function registerMessage(name: string, text: string): void {
  if (MESSAGE_TEXT[name] !== undefined || registered.has(name)) throw new RangeError(`message ${name} exists already`);
  registered.set(name, text);
}

/** Schema of a message, read from its line of text at first use. */
export function messageSchema(name: string): MessageSchema {
  const known = parsed.get(name);
  if (known !== undefined) return known;
  const text = MESSAGE_TEXT[name] ?? registered.get(name);
  if (text === undefined) throw new RangeError(`no message is named ${name}`);
  const fields = text === '' ? [] : text.split(';').map(parseField);
  const schema: MessageSchema = {
    name,
    fields,
    repeated: fields.filter((field) => field.repeated),
    required: fields.filter((field) => field.required),
    byNumber: new Map(fields.map((field) => [field.number, field])),
    byName: new Map(fields.map((field) => [field.name, field])),
  };
  parsed.set(name, schema);
  return schema;
}

function parseField(text: string): FieldSchema {
  const [number, name, typeText, rule, show] = text.split(' ') as [string, string, string, string, string?];
  const mark = typeText[0];
  const type = mark === '!' ? 'message' : mark === '=' ? 'enum' : typeText;
  const wire = WIRE_OF[type] ?? WIRE.VARINT;
  const code = CODE_OF[type];
  if (code === undefined) throw new RangeError(`field ${name} is of no type of the format: ${typeText}`);
  return {
    number: Number(number),
    name,
    type,
    ref: mark === '!' || mark === '=' ? typeText.slice(1) : '',
    code,
    wire,
    tag: ((Number(number) << 3) | wire) >>> 0,
    repeated: rule === '*',
    required: rule === 'r',
    last: undefined,
    constant: undefined,
    show: show ?? '',
  };
}

/** Value of an enum's name, and the reverse. */
export function enumValue(ref: string, name: string): number | undefined {
  return ENUMS[ref]?.[name];
}

export function enumName(ref: string, value: number): string | undefined {
  const names = ENUMS[ref];
  return names === undefined ? undefined : Object.keys(names).find((name) => names[name] === value);
}
