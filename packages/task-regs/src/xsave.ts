/** Extended state: the xsave area in standard format (Intel SDM 1, 13.4) to and from user_x86_fpregs_entry. */
import type { UserX86FpregsEntry, UserX86XsaveEntry } from '@crts/image-io';
import type { XstateComponent } from '@crts/native-syscalls';
import { badRegisters, cpuLacks } from './errors';

const HEADER = 512;
const LEGACY_END = 576;

interface ComponentField {
  readonly name: string;
  readonly field: 'ymmh_space' | 'bndreg_state' | 'bndcsr_state' | 'opmask_reg' | 'zmm_upper' | 'hi16_zmm' | 'pkru';
  readonly word: 4 | 8;
}

/** Components that the format has a field for, by their bit in xstate_bv. */
export const COMPONENT_FIELDS: ReadonlyMap<number, ComponentField> = new Map([
  [2, { name: 'AVX', field: 'ymmh_space', word: 4 }],
  [3, { name: 'MPX bounds', field: 'bndreg_state', word: 8 }],
  [4, { name: 'MPX config', field: 'bndcsr_state', word: 8 }],
  [5, { name: 'AVX-512 masks', field: 'opmask_reg', word: 8 }],
  [6, { name: 'AVX-512 upper halves', field: 'zmm_upper', word: 8 }],
  [7, { name: 'AVX-512 high registers', field: 'hi16_zmm', word: 8 }],
  [9, { name: 'protection keys', field: 'pkru', word: 4 }],
]);

/** State that crts keeps in fields of its own: AMX tiles, which the kernel counts as in use together or not at all. */
const OWN_FIELDS: ReadonlyMap<
  number,
  { readonly name: string; readonly field: 'crts_tile_config' | 'crts_tile_data' }
> = new Map([
  [17, { name: 'AMX tile configuration', field: 'crts_tile_config' }],
  [18, { name: 'AMX tile data', field: 'crts_tile_data' }],
]);

const NAMES: Readonly<Record<number, string>> = {
  8: 'processor trace',
  11: 'CET user',
  12: 'CET supervisor',
};

const OWN_MASK = [...OWN_FIELDS.keys()].reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n);

/** Names of the components set in `mask`. */
export function componentNames(mask: bigint): string {
  const names: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if ((mask & (1n << BigInt(bit))) !== 0n)
      names.push(COMPONENT_FIELDS.get(bit)?.name ?? OWN_FIELDS.get(bit)?.name ?? NAMES[bit] ?? `component ${bit}`);
  }
  return names.join(', ');
}

/** Bits of state in use that the format cannot hold. */
export function unheldComponents(xstate: Buffer): bigint {
  let mask = xstate.readBigUInt64LE(HEADER) & ~0b11n;
  for (const bit of [...COMPONENT_FIELDS.keys(), ...OWN_FIELDS.keys()]) mask &= ~(1n << BigInt(bit));
  return mask;
}

export function fpregsFromXstate(xstate: Buffer, components: ReadonlyMap<number, XstateComponent>): UserX86FpregsEntry {
  const xsave: UserX86XsaveEntry = {
    xstate_bv: xstate.readBigUInt64LE(HEADER) & ~OWN_MASK,
    ymmh_space: [],
    bndreg_state: [],
    bndcsr_state: [],
    opmask_reg: [],
    zmm_upper: [],
    hi16_zmm: [],
    pkru: [],
  };
  for (const [bit, { field, word }] of COMPONENT_FIELDS) {
    const part = components.get(bit);
    if (part === undefined || part.offset + part.sizeBytes > xstate.length) continue;
    if (word === 4) (xsave[field] as number[]) = words(xstate, part.offset, part.sizeBytes / word);
    else (xsave[field] as bigint[]) = longs(xstate, part.offset, part.sizeBytes / word);
  }
  for (const [bit, { field }] of OWN_FIELDS) {
    const part = components.get(bit);
    if (part === undefined || (xstate.readBigUInt64LE(HEADER) & (1n << BigInt(bit))) === 0n) continue;
    xsave[field] = Buffer.from(xstate.subarray(part.offset, part.offset + part.sizeBytes));
  }
  return {
    cwd: xstate.readUInt16LE(0),
    swd: xstate.readUInt16LE(2),
    twd: xstate.readUInt16LE(4),
    fop: xstate.readUInt16LE(6),
    rip: xstate.readBigUInt64LE(8),
    rdp: xstate.readBigUInt64LE(16),
    mxcsr: xstate.readUInt32LE(24),
    mxcsr_mask: xstate.readUInt32LE(28),
    st_space: words(xstate, 32, 32),
    xmm_space: words(xstate, 160, 64),
    padding: [],
    xsave,
  };
}

/** An xsave area of `size` bytes for this machine's layout. */
export function xstateFromFpregs(
  entry: UserX86FpregsEntry,
  components: ReadonlyMap<number, XstateComponent>,
  size: number,
): Buffer {
  const out = Buffer.alloc(Math.max(size, LEGACY_END));
  for (const [at, value, field] of [
    [0, entry.cwd, 'cwd'],
    [2, entry.swd, 'swd'],
    [4, entry.twd, 'twd'],
    [6, entry.fop, 'fop'],
  ] as const) {
    if (value > 0xffff) throw badRegisters(`fpregs.${field}`, `${value} does not fit 16 bits`);
    out.writeUInt16LE(value, at);
  }
  out.writeBigUInt64LE(entry.rip, 8);
  out.writeBigUInt64LE(entry.rdp, 16);
  out.writeUInt32LE(entry.mxcsr, 24);
  out.writeUInt32LE(entry.mxcsr_mask, 28);
  writeWords(out, 32, entry.st_space, 32, 'st_space');
  writeWords(out, 160, entry.xmm_space, 64, 'xmm_space');
  const { xsave } = entry;
  if (xsave === undefined) {
    // An image of a CPU without xsave: x87 and SSE are all there is.
    out.writeBigUInt64LE(0b11n, HEADER);
    return out;
  }
  let held = 0b11n;
  for (const [bit, { field, word }] of COMPONENT_FIELDS) {
    const values = xsave[field];
    const mask = 1n << BigInt(bit);
    if ((xsave.xstate_bv & mask) === 0n) continue;
    const part = components.get(bit);
    if (part === undefined || part.offset + part.sizeBytes > out.length) throw cpuLacks(componentNames(mask));
    if (values.length * word !== part.sizeBytes) {
      throw badRegisters(`fpregs.xsave.${field}`, `${values.length} values where ${part.sizeBytes / word} belong`);
    }
    const view = new DataView(out.buffer, out.byteOffset + part.offset, part.sizeBytes);
    for (let index = 0; index < values.length; index++)
      if (word === 4) view.setUint32(4 * index, values[index] as number, true);
      else view.setBigUint64(8 * index, values[index] as bigint, true);
    held |= mask;
  }
  let own = 0n;
  for (const [bit, { field, name }] of OWN_FIELDS) {
    const bytes = xsave[field];
    if (bytes === undefined) continue;
    const part = components.get(bit);
    if (part === undefined || part.offset + part.sizeBytes > out.length) throw cpuLacks(name);
    if (bytes.length !== part.sizeBytes)
      throw badRegisters(`fpregs.xsave.${field}`, `${bytes.length} bytes where ${part.sizeBytes} belong`);
    out.set(bytes, part.offset);
    own |= 1n << BigInt(bit);
  }
  if ((xsave.xstate_bv & ~held) !== 0n) throw cpuLacks(componentNames(xsave.xstate_bv & ~held));
  out.writeBigUInt64LE(xsave.xstate_bv | own, HEADER);
  return out;
}

/** Whether the thread has tiles in use, for which the kernel must have made room before they are set. */
export function hasTiles({ xsave }: UserX86FpregsEntry): boolean {
  return [...OWN_FIELDS.values()].some(({ field }) => xsave?.[field] !== undefined);
}

/** By DataView: the methods of Buffer check each place, and put 64-bit numbers together in JavaScript. */
/** Registers that nobody uses, by how many there are. They are the same for every thread, and written as such. */
const zeroWords = new Map<number, number[]>();
const zeroLongs = new Map<number, bigint[]>();
const ZEROS = Buffer.alloc(4096);

function isZero(bytes: Buffer, at: number, sizeBytes: number): boolean {
  return sizeBytes <= ZEROS.length && bytes.compare(ZEROS, 0, sizeBytes, at, at + sizeBytes) === 0;
}

function zeros<T>(known: Map<number, T[]>, count: number, zero: T): T[] {
  const all = known.get(count) ?? (Object.freeze(new Array<T>(count).fill(zero)) as T[]);
  known.set(count, all);
  return all;
}

function words(bytes: Buffer, at: number, count: number): number[] {
  if (isZero(bytes, at, 4 * count)) return zeros(zeroWords, count, 0);
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, 4 * count);
  const found: number[] = [];
  for (let index = 0; index < count; index++) found.push(view.getUint32(4 * index, true));
  return found;
}

function longs(bytes: Buffer, at: number, count: number): bigint[] {
  if (isZero(bytes, at, 8 * count)) return zeros(zeroLongs, count, 0n);
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, 8 * count);
  const found: bigint[] = [];
  for (let index = 0; index < count; index++) found.push(view.getBigUint64(8 * index, true));
  return found;
}

function writeWords(out: Buffer, at: number, values: readonly number[], count: number, field: string): void {
  if (values.length !== count) throw badRegisters(`fpregs.${field}`, `${values.length} words where ${count} belong`);
  values.forEach((value, index) => {
    out.writeUInt32LE(value, at + 4 * index);
  });
}
