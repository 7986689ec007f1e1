/** What the images keep of a descriptor that was left outside: JSON in the `ext` entry, which CRIU has for plugins. */
import type { FdDumpContext, FileRecord } from '@crts/plugin-api';
import { badEntry } from './errors';

export const PACKAGE = '@crts/fd-external';
const FD_TYPE_EXT = 16;
const DATA_MAX = 16 * 1024;

/** By the name of a field, what `typeof` says of it. */
type Shape = Readonly<Record<string, 'string' | 'number'>>;

export type Kept<S extends Shape> = { readonly [K in keyof S]: S[K] extends 'string' ? string : number };

export function recordOf(context: FdDumpContext, kind: string, kept: object): FileRecord {
  const crts_data = Buffer.from(JSON.stringify({ kind, ...kept }));
  const value = { id: context.id, fown: context.fown, crts_plugin: PACKAGE, crts_data };
  return { type: FD_TYPE_EXT, field: 'ext', value };
}

/** The text, where the entry is of this package. */
function dataOf({ field, value }: FileRecord): Record<string, unknown> | undefined {
  const { crts_plugin: plugin, crts_data: data } = value;
  if (field !== 'ext' || plugin !== PACKAGE || !(data instanceof Uint8Array) || data.length > DATA_MAX)
    return undefined;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(data).toString('utf8'));
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

export function isOfKind(record: FileRecord, kind: string): boolean {
  return dataOf(record)?.kind === kind;
}

/** Validated by type; ranges are the caller's. */
export function keptIn<S extends Shape>(record: FileRecord, shape: S): Kept<S> {
  const data = dataOf(record) ?? {};
  for (const [name, type] of Object.entries(shape)) {
    const value = data[name];
    const isGood = type === 'string' ? typeof value === 'string' : Number.isSafeInteger(value) && Number(value) >= 0;
    if (!isGood) throw badEntry(record.value.id as number, `"${name}" is no ${type}`);
  }
  return data as Kept<S>;
}
