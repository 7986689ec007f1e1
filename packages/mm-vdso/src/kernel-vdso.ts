import { closeSync, openSync, readFileSync } from 'node:fs';
import { preadFull } from '@crts/native-syscalls';

export interface KernelVdso {
  /** Bytes of data pages (vvar, vvar_vclock) before the code. */
  readonly dataBytes: bigint;
  readonly code: Buffer;
}

let own: KernelVdso | undefined;

/** The vdso of the running kernel, from the engine's own address space: the same pages in every 64-bit task. */
export function kernelVdso(): KernelVdso | undefined {
  if (own !== undefined) return own;
  const lines = readFileSync('/proc/self/maps', 'utf8').split('\n');
  const range = (line: string) =>
    line
      .split(' ')[0]!
      .split('-')
      .map((hex) => BigInt(`0x${hex}`)) as [bigint, bigint];
  const data = lines.filter((line) => /\[vvar(_vclock)?\]$/.test(line)).map(range);
  const vdso = lines.find((line) => line.endsWith('[vdso]'));
  if (vdso === undefined) return undefined;
  const [start, end] = range(vdso);
  const code = Buffer.alloc(Number(end - start));
  const mem = openSync('/proc/self/mem', 'r');
  try {
    preadFull(mem, code, start);
  } finally {
    closeSync(mem);
  }
  own = { dataBytes: data.reduce((sum, [from, to]) => sum + (to - from), 0n), code };
  return own;
}
