/**
 * What all kinds of mappings have in common: numbers of man 2 mmap and of vma_entry, and the passes that lay one out.
 */
import { CrtsError } from './errors';
import type { VmaFacts } from './facts';
import type { ImageRecord } from './handlers';
import type { Program } from './program';

export const PROT = { read: 1, write: 2, exec: 4 } as const;
export const MAP = {
  shared: 1,
  private: 2,
  fixed: 0x10,
  anonymous: 0x20,
  droppable: 8,
  growsDown: 0x100,
  locked: 0x2000,
  noReserve: 0x4000,
  hugeTlb: 0x40000,
  /** Where the binary logarithm of the size of huge TLB pages lies. */
  hugeSize: 0x3f * 2 ** 26,
  fixedNoReplace: 0x100000,
} as const;

const MAP_HUGE_SHIFT = 26;

/** vma_entry.status: facts of the format. */
export const VMA_STATUS = {
  regular: 1,
  stack: 2,
  vsyscall: 4,
  vdso: 8,
  heap: 0x20,
  filePrivate: 0x40,
  fileShared: 0x80,
  anonShared: 0x100,
  anonPrivate: 0x200,
  sysvipc: 0x400,
  vvar: 0x1000,
  aioRing: 0x2000,
  memfd: 0x4000,
  guard: 0x10000,
  uprobes: 0x20000,
} as const;

/** Advice that sticks to a mapping: its code in VmFlags (man 5 proc, /proc/PID/smaps) and the madvise(2) that sets it. */
const ADVICE: readonly (readonly [flag: string, advice: number])[] = [
  ['sr', 2], // MADV_SEQUENTIAL
  ['rr', 1], // MADV_RANDOM
  ['dc', 10], // MADV_DONTFORK
  ['dd', 16], // MADV_DONTDUMP
  ['mg', 12], // MADV_MERGEABLE
  ['hg', 14], // MADV_HUGEPAGE
  ['nh', 15], // MADV_NOHUGEPAGE
  ['wf', 18], // MADV_WIPEONFORK
];

/** vma_entry.crts_state: what the format has no field for, by its code in VmFlags. */
export const VMA_STATE = { lockOnFault: 1, sealed: 2, droppable: 4 } as const;
const STATES: readonly (readonly [flag: string, state: number])[] = [
  ['lf', VMA_STATE.lockOnFault],
  ['sl', VMA_STATE.sealed],
  ['dp', VMA_STATE.droppable],
];
const MLOCK_ONFAULT = 1;
const PR_SET_VMA = 0x5356_4d41;
const PR_SET_VMA_ANON_NAME = 0;
/** ANON_VMA_NAME_MAX_LEN, include/uapi/linux/prctl.h, less the NUL; which characters: is_valid_name_char(), kernel/sys.c. */
const ANON_NAME = /^[ !"#%-Z^_a-~]{0,79}$/;

/** VmFlags that no handler here carries, with their meaning. */
const REFUSED_FLAGS: Readonly<Record<string, string>> = {
  um: 'userfaultfd missing tracking',
  uw: 'userfaultfd write-protect tracking',
  ui: 'userfaultfd minor faults',
  ss: 'a shadow stack',
  io: 'device memory',
  pf: 'raw device pages',
  mm: 'mixed device pages',
};

export interface Layout {
  readonly start: bigint;
  readonly end: bigint;
  readonly prot: number;
  readonly flags: number;
  readonly madv: bigint;
  /** Memory protection key; absent where mmap(2) is to choose, which has one for execute-only memory. */
  readonly pkey?: number | undefined;
  /** VMA_STATE. */
  readonly state: number;
  /** PR_SET_VMA_ANON_NAME; the kernel must have CONFIG_ANON_VMA_NAME. */
  readonly name?: string | undefined;
}

export function protOf(vma: VmaFacts): number {
  return (vma.read ? PROT.read : 0) | (vma.write ? PROT.write : 0) | (vma.exec ? PROT.exec : 0);
}

/** Flags of a mapping beyond shared or private that mmap(2) sets again. */
export function mapFlagsOf(vma: VmaFacts): number {
  return (
    // As CRIU has it, droppable memory is a kind of its own beside shared and private.
    (vma.shared ? MAP.shared : vma.vmFlags.has('dp') ? MAP.droppable : MAP.private) |
    (vma.vmFlags.has('gd') ? MAP.growsDown : 0) |
    (vma.vmFlags.has('lo') ? MAP.locked : 0) |
    (vma.vmFlags.has('nr') ? MAP.noReserve : 0) |
    (isHuge(vma) ? MAP.hugeTlb : 0)
  );
}

/** Mapped with huge TLB pages: what has them is another kind of object. */
export function isHuge(vma: VmaFacts): boolean {
  return vma.vmFlags.has('ht');
}

/** vma_entry.madv: bit n for advice n. */
export function adviceOf(vma: VmaFacts): bigint {
  let bits = 0n;
  for (const [flag, advice] of ADVICE) if (vma.vmFlags.has(flag)) bits |= 1n << BigInt(advice);
  return bits;
}

/** Keys of x86: two bits each in PKRU. */
const PKEYS = 16;

/** vma_entry.crts_pkey: mmap(2) gives key 0, and a key of its own choice to what may only be executed. */
function pkeyOf({ protectionKey, read, write, exec }: VmaFacts): number | undefined {
  return protectionKey === 0 && (read || write || !exec) ? undefined : protectionKey;
}

/** Name that the program gave to anonymous memory, `[anon:NAME]` or, where it is shared, `[anon_shmem:NAME]`. */
export function anonymousNameOf(vma: VmaFacts): string | undefined {
  return /^\[anon(?:_shmem)?:(.*)\]$/s.exec(vma.name)?.[1];
}

function stateOf(vma: VmaFacts): number {
  return STATES.reduce((bits, [flag, state]) => (vma.vmFlags.has(flag) ? bits | state : bits), 0);
}

/** Meaning of a flag that cannot be carried, or undefined. */
export function refusedFlag({ vmFlags }: VmaFacts): string | undefined {
  if (good.has(vmFlags)) return undefined;
  for (const flag of vmFlags) if (REFUSED_FLAGS[flag] !== undefined) return REFUSED_FLAGS[flag];
  good.add(vmFlags);
  return undefined;
}

/** Mappings with the same flags have one set of them. */
const good = new WeakSet<ReadonlySet<string>>();

export interface VmaEntryParts {
  readonly shmid: bigint;
  readonly flags?: number;
  readonly status: number;
  readonly pgoff: bigint;
  readonly fdflags?: number;
}

/** Mappings that tasks have in common are described once. */
const described = new WeakMap<VmaFacts, { readonly parts: VmaEntryParts; readonly entry: ImageRecord }>();

/** The entry is not to be changed. */
export function vmaEntry(vma: VmaFacts, parts: VmaEntryParts): ImageRecord {
  const known = described.get(vma);
  if (known !== undefined && isSame(known.parts, parts)) return known.entry;
  const entry = Object.freeze(freshEntry(vma, parts));
  described.set(vma, { parts, entry });
  return entry;
}

function isSame(a: VmaEntryParts, b: VmaEntryParts): boolean {
  const isSameObject = a.shmid === b.shmid && a.pgoff === b.pgoff;
  return isSameObject && a.flags === b.flags && a.status === b.status && a.fdflags === b.fdflags;
}

function freshEntry(vma: VmaFacts, more: VmaEntryParts): ImageRecord {
  const madv = adviceOf(vma);
  const pkey = pkeyOf(vma);
  const state = stateOf(vma);
  const name = anonymousNameOf(vma);
  return {
    start: vma.start,
    end: vma.end,
    pgoff: more.pgoff,
    shmid: more.shmid,
    prot: protOf(vma),
    flags: mapFlagsOf(vma) | (more.flags ?? 0),
    status: more.status,
    fd: -1n,
    ...(madv === 0n ? {} : { madv }),
    ...(more.fdflags === undefined ? {} : { fdflags: more.fdflags }),
    ...(pkey === undefined ? {} : { crts_pkey: pkey }),
    ...(state === 0 ? {} : { crts_state: state }),
    ...(name === undefined ? {} : { crts_name: name }),
  };
}

const layouts = new WeakMap<ImageRecord, Layout>();

/** Reads and checks the part of a vma_entry that is common to all kinds. */
export function layoutOf(entry: ImageRecord, plugin: string): Layout {
  const layout = layouts.get(entry) ?? checkedLayout(entry, plugin);
  layouts.set(entry, layout);
  return layout;
}

function checkedLayout(entry: ImageRecord, plugin: string): Layout {
  const { start, end, prot, flags } = entry as { start: bigint; end: bigint; prot: number; flags: number };
  const bad = (what: string) =>
    new CrtsError({
      code: 'CRTS_IMAGE_FIELD',
      plugin,
      what: `vma_entry 0x${start.toString(16)}-0x${end.toString(16)}: ${what}`,
      hint: 'The image is damaged.',
    });
  if (start >= end || start % 4096n !== 0n || end % 4096n !== 0n || end > 0x7fff_ffff_f000n)
    throw bad('no valid address range');
  if ((prot & ~7) !== 0) throw bad(`prot 0x${prot.toString(16)} has unknown bits`);
  const pkey = entry.crts_pkey as number | undefined;
  if (pkey !== undefined && pkey >= PKEYS) throw bad(`there is no protection key ${pkey}`);
  const isDroppable = (flags & MAP.droppable) !== 0 && (flags & MAP.shared) === 0;
  const state = ((entry.crts_state as number | undefined) ?? 0) | (isDroppable ? VMA_STATE.droppable : 0);
  if ((state & ~7) !== 0) throw bad(`state 0x${state.toString(16)} has unknown bits`);
  const name = entry.crts_name as string | undefined;
  if (name !== undefined && !ANON_NAME.test(name)) throw bad('no possible name of anonymous memory');
  const huge = (flags & MAP.hugeTlb) === 0 ? 0 : flags & (MAP.hugeTlb | MAP.hugeSize);
  const hugeBytes = huge === 0 ? 1n : hugePageBytes(huge);
  if (start % hugeBytes !== 0n || end % hugeBytes !== 0n) throw bad(`no range of huge pages of ${hugeBytes} bytes`);
  const known = MAP.shared | MAP.private | MAP.anonymous | MAP.growsDown | MAP.locked | MAP.noReserve;
  // CRIU keeps MAP_STACK and the like where it saw them; they change nothing or are refused by the kind.
  const madv = (entry.madv as bigint | undefined) ?? 0n;
  return { start, end, prot, flags: ((flags & known) | huge) >>> 0, madv, pkey, state, name };
}

/** What MAP_HUGE_SHIFT and its like say; 2 MiB where they leave it to the kernel: that is what x86 takes. */
export function hugePageBytes(flags: number): bigint {
  const logarithm = (flags & MAP.hugeSize) >>> MAP_HUGE_SHIFT;
  return 1n << BigInt(logarithm === 0 ? 21 : logarithm);
}

/** Protection to map with: pages are read in before the final one; memory without pages is never made writable. */
export function firstProtection(layout: Layout, hasPages: boolean): number {
  if (hasPages) return layout.prot | PROT.write;
  // Mapped as execute-only at once, it would get a key of the kernel's choice.
  return layout.pkey === undefined ? layout.prot : layout.prot & ~PROT.exec;
}

/** Private memory up to this size is mapped by one call; more by up to PIECES calls of that size or larger. */
const PIECE_BYTES = 512n << 20n;
const PIECES = 1024n;
const HUGE_PAGE = 2n << 20n;

/**
 * The parts in which private memory is mapped, which the kernel makes one mapping of. With vm.overcommit_memory 0 no call may ask for
 * more writable memory than the machine has (__vm_enough_memory(), mm/util.c), but mappings side by side may have grown together to more.
 */
export function piecesOf({ start, end }: Pick<Layout, 'start' | 'end'>, prot: number, flags: number) {
  const size = end - start;
  if (size <= PIECE_BYTES || (prot & PROT.write) === 0 || (flags & MAP.noReserve) !== 0) return [{ start, size }];
  const least = (size / PIECES + HUGE_PAGE - 1n) & ~(HUGE_PAGE - 1n);
  const step = least > PIECE_BYTES ? least : PIECE_BYTES;
  const pieces: { readonly start: bigint; readonly size: bigint }[] = [];
  for (let at = start; at < end; at += step) pieces.push({ start: at, size: end - at < step ? end - at : step });
  return pieces;
}

/** Final protection, locking and advice of a mapping that is in place and filled. */
export function finishMapping(program: Program, layout: Layout, mappedProt: number): void {
  const length = layout.end - layout.start;
  if (layout.pkey !== undefined)
    program.call('pkey_mprotect', [layout.start, length, layout.prot, layout.pkey], {
      what: `protection key ${layout.pkey}`,
    });
  else if (mappedProt !== layout.prot) program.call('mprotect', [layout.start, length, layout.prot]);
  // Most have none.
  if (layout.madv !== 0n)
    for (let advice = 0; advice < 32; advice++)
      if ((layout.madv & (1n << BigInt(advice))) !== 0n)
        program.call('madvise', [layout.start, length, advice], { what: `madvise ${advice}` });
  if ((layout.state & VMA_STATE.lockOnFault) !== 0) program.call('mlock2', [layout.start, length, MLOCK_ONFAULT]);
  else if ((layout.flags & MAP.locked) !== 0) program.call('mlock', [layout.start, length]);
  if (layout.name !== undefined)
    program.call('prctl', [PR_SET_VMA, PR_SET_VMA_ANON_NAME, layout.start, length, program.cstring(layout.name)], {
      what: `name it ${layout.name}`,
    });
}

/** Name of the resource that a mapping's pass provides. */
export function vmaResource(start: bigint): string {
  return `vma:${start.toString(16)}`;
}
