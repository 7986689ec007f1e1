/**
 * Structures of the kernel as tables: `struct('struct timespec', '<linux/time.h>', { tv_sec: i64, tv_nsec: i64 })`.
 * Offsets follow the C ABI of 64-bit Linux; struct.test.ts compares every size and offset with what a C compiler says.
 */

export type FieldType = 'u8' | 'u16' | 'u32' | 'i32' | 'u64' | 'i64';

/** A scalar, an array of scalars, or so many raw bytes. */
export type Field = FieldType | { readonly array: FieldType; readonly length: number };

const SIZES: Readonly<Record<FieldType, number>> = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8, i64: 8 };

/** 64-bit fields are bigint, the others number; arrays are filled and read through their offset. */
type ValueOf<F> = F extends 'u64' | 'i64' ? bigint : F extends FieldType ? number : never;
type Values<Fields> = { [K in keyof Fields as Fields[K] extends FieldType ? K : never]?: ValueOf<Fields[K]> };

export interface Struct<Fields extends Readonly<Record<string, Field>>> {
  readonly name: string;
  readonly header: string;
  readonly fields: Fields;
  readonly size: number;
  readonly offsets: { readonly [K in keyof Fields]: number };
  /** A zeroed structure with these fields set. Throws RangeError on a value that does not fit. */
  encode(values: Values<Fields>): Buffer;
  get<K extends keyof Fields>(bytes: Buffer, field: K, at?: number): ValueOf<Fields[K]>;
  set<K extends keyof Fields>(bytes: Buffer, field: K, value: ValueOf<Fields[K]>, at?: number): void;
}

export function struct<const Fields extends Readonly<Record<string, Field>>>(
  name: string,
  header: string,
  fields: Fields,
): Struct<Fields> {
  const offsets: Record<string, number> = {};
  let end = 0;
  let alignment = 1;
  for (const [field, type] of Object.entries(fields)) {
    const [unit, count] = typeof type === 'string' ? [SIZES[type], 1] : [SIZES[type.array], type.length];
    end = Math.ceil(end / unit) * unit;
    offsets[field] = end;
    end += unit * count;
    alignment = Math.max(alignment, unit);
  }
  const size = Math.ceil(end / alignment) * alignment;
  const typeOf = (field: keyof Fields): FieldType => {
    const type = fields[field]!;
    return typeof type === 'string' ? type : type.array;
  };
  const made: Struct<Fields> = {
    name,
    header,
    fields,
    size,
    offsets: offsets as Struct<Fields>['offsets'],
    encode: (values) => {
      const bytes = Buffer.alloc(size);
      for (const field of Object.keys(values))
        write(bytes, offsets[field]!, typeOf(field), (values as Record<string, number | bigint>)[field]!);
      return bytes;
    },
    get: (bytes, field, at = 0) => read(bytes, at + offsets[field as string]!, typeOf(field)) as never,
    set: (bytes, field, value, at = 0) => write(bytes, at + offsets[field as string]!, typeOf(field), value as never),
  };
  return made;
}

/** By DataView: the methods of Buffer put 64-bit numbers together in JavaScript, which counts while a task stands still. */
function read(bytes: Buffer, at: number, type: FieldType): number | bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  switch (type) {
    case 'u8':
      return view.getUint8(at);
    case 'u16':
      return view.getUint16(at, true);
    case 'u32':
      return view.getUint32(at, true);
    case 'i32':
      return view.getInt32(at, true);
    case 'u64':
      return view.getBigUint64(at, true);
    case 'i64':
      return view.getBigInt64(at, true);
  }
}

function write(bytes: Buffer, at: number, type: FieldType, value: number | bigint): void {
  switch (type) {
    case 'u8':
      bytes.writeUInt8(value as number, at);
      return;
    case 'u16':
      bytes.writeUInt16LE(value as number, at);
      return;
    case 'u32':
      bytes.writeUInt32LE(value as number, at);
      return;
    case 'i32':
      bytes.writeInt32LE(value as number, at);
      return;
    case 'u64':
      bytes.writeBigUInt64LE(value as bigint, at);
      return;
    case 'i64':
      bytes.writeBigInt64LE(value as bigint, at);
  }
}
