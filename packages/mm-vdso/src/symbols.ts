/** Functions of a vdso by name: as much of ELF as that takes (man 5 elf). What is read may come from images: untrusted. */

const HEADER = { size: 64, phoff: 32, phentsize: 54, phnum: 56 } as const;
const PROGRAM_HEADER = { size: 56, type: 0, offset: 8, vaddr: 16, filesz: 32 } as const;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT = { hash: 4n, strtab: 5n, symtab: 6n } as const;
const SYMBOL = { size: 24, name: 0, info: 4, section: 6, value: 8 } as const;
const STT_FUNC = 2;
/** Every vdso so far has fewer of each. */
const HEADERS_MAX = 16;
const DYNAMIC_MAX = 64;
const SYMBOLS_MAX = 256;
const NAME_MAX = 64;

export interface VdsoFunction {
  readonly name: string;
  /** From the start of the vdso. */
  readonly offset: number;
}

/** All functions that a vdso defines, ascending; undefined where it is no ELF file that can be read. */
export function functionsOf(vdso: Buffer): VdsoFunction[] | undefined {
  try {
    return parse(vdso);
  } catch (error) {
    // Reads beyond the end.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function parse(vdso: Buffer): VdsoFunction[] | undefined {
  if (vdso.length < HEADER.size || vdso.readUInt32BE(0) !== 0x7f454c46 || vdso[4] !== 2 || vdso[5] !== 1)
    return undefined;
  const count = vdso.readUInt16LE(HEADER.phnum);
  if (count > HEADERS_MAX || vdso.readUInt16LE(HEADER.phentsize) !== PROGRAM_HEADER.size) return undefined;
  const headers = place(vdso.readBigUInt64LE(HEADER.phoff), vdso);
  let base: bigint | undefined;
  let dynamic: { start: number; size: number } | undefined;
  for (let index = 0; index < count; index++) {
    const at = headers + index * PROGRAM_HEADER.size;
    const type = vdso.readUInt32LE(at + PROGRAM_HEADER.type);
    const offset = vdso.readBigUInt64LE(at + PROGRAM_HEADER.offset);
    if (type === PT_LOAD) base ??= vdso.readBigUInt64LE(at + PROGRAM_HEADER.vaddr) - offset;
    if (type === PT_DYNAMIC)
      dynamic = { start: place(offset, vdso), size: place(vdso.readBigUInt64LE(at + PROGRAM_HEADER.filesz), vdso) };
  }
  if (base === undefined || dynamic === undefined) return undefined;
  const tags = tagsOf(vdso, dynamic.start, dynamic.size, base);
  const symbols = tags.get(DT.symtab);
  const names = tags.get(DT.strtab);
  if (symbols === undefined || names === undefined) return undefined;
  const hash = tags.get(DT.hash);
  // The table of symbols has no length. The old hash table counts them; without one, their names follow them.
  const total = hash === undefined ? Math.floor((names - symbols) / SYMBOL.size) : vdso.readUInt32LE(hash + 4);
  if (total <= 0 || total > SYMBOLS_MAX) return undefined;
  const found: VdsoFunction[] = [];
  for (let index = 1; index < total; index++) {
    const at = symbols + index * SYMBOL.size;
    if ((vdso[at + SYMBOL.info]! & 15) !== STT_FUNC || vdso.readUInt16LE(at + SYMBOL.section) === 0) continue;
    const name = nameAt(vdso, names + vdso.readUInt32LE(at + SYMBOL.name));
    if (name === undefined) return undefined;
    found.push({ name, offset: place(vdso.readBigUInt64LE(at + SYMBOL.value) - base, vdso) });
  }
  return found.sort((a, b) => a.offset - b.offset);
}

function tagsOf(vdso: Buffer, start: number, size: number, base: bigint): Map<bigint, number> {
  const tags = new Map<bigint, number>();
  for (let at = start; at < start + Math.min(size, 16 * DYNAMIC_MAX); at += 16) {
    const tag = vdso.readBigUInt64LE(at);
    if (tag === 0n) break;
    if (tag === DT.hash || tag === DT.strtab || tag === DT.symtab)
      tags.set(tag, place(vdso.readBigUInt64LE(at + 8) - base, vdso));
  }
  return tags;
}

/** @throws RangeError outside of the file */
function place(offset: bigint, vdso: Buffer): number {
  if (offset < 0n || offset >= BigInt(vdso.length)) throw new RangeError('outside');
  return Number(offset);
}

function nameAt(vdso: Buffer, at: number): string | undefined {
  const end = vdso.indexOf(0, at);
  if (at >= vdso.length || end < 0 || end - at > NAME_MAX) return undefined;
  return vdso.toString('latin1', at, end);
}
