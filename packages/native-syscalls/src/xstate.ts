import { addon } from './addon';

/** Extended state components in the standard format of xsave, from cpuid leaf 0xd (Intel SDM 1, 13.2). */
export interface XstateComponent {
  readonly index: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

let components: ReadonlyMap<number, XstateComponent> | undefined;

/** Components 2 and up that user space can have; 0 (x87) and 1 (SSE) lie in the 512-byte legacy area. */
export function xstateComponents(): ReadonlyMap<number, XstateComponent> {
  if (components !== undefined) return components;
  const native = addon();
  const [low, , , high] = native.cpuid(0xd, 0);
  const supported = BigInt(low) | (BigInt(high) << 32n);
  const found = new Map<number, XstateComponent>();
  for (let index = 2; index < 63; index++) {
    if ((supported & (1n << BigInt(index))) === 0n) continue;
    const [sizeBytes, offset] = native.cpuid(0xd, index);
    if (sizeBytes > 0) found.set(index, { index, offset, sizeBytes });
  }
  components = found;
  return found;
}

let ends: ReadonlyMap<number, number> | undefined;

/** End of each component in the standard format. */
export function xstateEnds(): ReadonlyMap<number, number> {
  ends ??= new Map([...xstateComponents().values()].map((part) => [part.index, part.offset + part.sizeBytes]));
  return ends;
}

/** Bytes of the standard-format area with everything that the kernel enabled: what NT_X86_XSTATE takes and gives. */
export function xstateSize(): number {
  return addon().cpuid(0xd, 0)[1];
}
