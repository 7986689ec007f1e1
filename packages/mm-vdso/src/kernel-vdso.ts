import { closeSync, openSync, readFileSync } from 'node:fs';
import { preadFull } from '@crts/native-syscalls';

export interface Range {
  readonly start: bigint;
  readonly end: bigint;
}

export interface KernelVdso {
  /** Bytes of data pages (vvar, vvar_vclock) before the code. */
  readonly dataBytes: bigint;
  readonly code: Buffer;
}

/** Where the parts lie in an address space, by /proc/PID/maps. */
export function findVdso(maps: string): { readonly data: readonly Range[]; readonly code: Range | undefined } {
  const lines = [...maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) .* \[(vvar|vvar_vclock|vdso)\]$/gm)];
  const parts = lines.map(([, start, end, name]) => ({ name, start: BigInt(`0x${start}`), end: BigInt(`0x${end}`) }));
  const range = ({ start, end }: Range) => ({ start, end });
  const code = parts.find(({ name }) => name === 'vdso');
  return {
    data: parts.filter(({ name }) => name !== 'vdso').map(range),
    code: code === undefined ? undefined : range(code),
  };
}

let own: KernelVdso | undefined;

/** The vdso of the running kernel, from the engine's own address space: the same pages in every 64-bit task. */
export function kernelVdso(): KernelVdso | undefined {
  if (own !== undefined) return own;
  const { data, code: range } = findVdso(readFileSync('/proc/self/maps', 'utf8'));
  if (range === undefined) return undefined;
  const code = Buffer.alloc(Number(range.end - range.start));
  const mem = openSync('/proc/self/mem', 'r');
  try {
    preadFull(mem, code, range.start);
  } finally {
    closeSync(mem);
  }
  own = { dataBytes: data.reduce((sum, { start, end }) => sum + (end - start), 0n), code };
  return own;
}

/**
 * How the vdso of a task differs from what map_vdso() makes (arch/x86/entry/vdso/vma.c): the data pages, then at once
 * the code. `code` is what lies in the task's memory there.
 */
export function misfit(
  kernel: KernelVdso | undefined,
  vdsos: readonly Range[],
  data: readonly Range[],
  code: (start: bigint, lengthBytes: number) => Buffer | undefined,
): string | undefined {
  const [vdso, second] = vdsos;
  if (vdso === undefined) return data.length === 0 ? undefined : 'has data pages and no code';
  if (second !== undefined) return 'is in pieces';
  if (kernel === undefined) return 'exists, while this kernel has none';
  if (vdso.end - vdso.start !== BigInt(kernel.code.length)) return 'is of another size';
  let end = vdso.start - kernel.dataBytes;
  for (const part of [...data].sort((a, b) => (a.start < b.start ? -1 : 1))) {
    if (part.start !== end) return 'has its data pages elsewhere';
    end = part.end;
  }
  if (end !== vdso.start) return 'has other data pages';
  return code(vdso.start, kernel.code.length)?.equals(kernel.code) === true ? undefined : 'has other code';
}
