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

let size: number | undefined;

/** Bytes of the standard-format area with everything that the kernel enabled: what NT_X86_XSTATE takes and gives. */
export function xstateSize(): number {
  // In a virtual machine the instruction is a trap.
  size ??= addon().cpuid(0xd, 0)[1];
  return size;
}

/** Where the header of the xsave area lies, xstate_bv first: Intel SDM 1, 13.4.2. */
export const XSAVE_HEADER = 512;
/** Components that a task has without asking: x87, SSE, AVX, (MPX), AVX-512, PKRU. AMX needs arch_prctl. */
export const USUAL_COMPONENTS = 0b10_1110_0111n;

/** Components in use beyond the usual ones. */
export function unusualComponents(xstate: Buffer): bigint {
  if (xstate.length < XSAVE_HEADER + 8) return 0n;
  return xstate.readBigUInt64LE(XSAVE_HEADER) & ~USUAL_COMPONENTS;
}

let usualBytes: number | undefined;

/** Bytes of the standard-format area up to the end of the last usual component. */
export function usualXstateBytes(): number {
  usualBytes ??= [...xstateEnds()].reduce(
    (most, [index, end]) => ((USUAL_COMPONENTS & (1n << BigInt(index))) === 0n ? most : Math.max(most, end)),
    XSAVE_HEADER + 64,
  );
  return usualBytes;
}

/** The area as long as the kernel takes it back: what is not there is not in use. */
export function wholeXstate(xstate: Buffer): Buffer {
  const size = xstateSize();
  if (xstate.length >= size) return xstate;
  const whole = Buffer.alloc(size);
  xstate.copy(whole);
  return whole;
}
