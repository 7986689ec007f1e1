/**
 * Records of CRIU's page transfer protocol (criu/page-xfer.c): `struct page_server_iov`, 32 bytes in the byte order of x86. The
 * command word holds a command in its lower half and the flags of a pagemap entry in its upper one.
 */
import type { PageOwner } from '@crts/plugin-api';

export const RECORD_BYTES = 32;

export const COMMAND = {
  /** Pages follow. */
  add: 1,
  /** The parent set has them. */
  hole: 2,
  open: 3,
  /** Asks for one byte: whether there is a parent set. */
  open2: 4,
  /** The same as a number of four bytes, and nothing is opened. */
  parent: 5,
  /** Flags say what it is, and whether pages follow. */
  addFlags: 6,
  /** Asks for pages; `dst` is the bare pid. */
  get: 7,
  /** The end: asks for a status of four bytes, 0 when all was well. */
  close: 0x1023,
  /** The end, where the socket stays open. */
  forceClose: 0x1024,
} as const;

/** Flags of a pagemap entry. */
export const PAGE = { parent: 1, lazy: 2, present: 4 } as const;

export interface PageRecord {
  readonly command: number;
  readonly flags: number;
  readonly pages: bigint;
  readonly vaddr: bigint;
  readonly dst: bigint;
}

export function encodeRecord({ command, flags, pages, vaddr, dst }: PageRecord): Buffer {
  const bytes = Buffer.alloc(RECORD_BYTES);
  bytes.writeUInt32LE(((flags << 16) | command) >>> 0, 0);
  bytes.writeBigUInt64LE(pages, 8);
  bytes.writeBigUInt64LE(vaddr, 16);
  bytes.writeBigUInt64LE(dst, 24);
  return bytes;
}

/** Four bytes behind the command are padding, which CRIU does not clear. */
export function decodeRecord(bytes: Buffer): PageRecord {
  const word = bytes.readUInt32LE(0);
  return {
    command: word & 0xffff,
    flags: word >>> 16,
    pages: bytes.readBigUInt64LE(8),
    vaddr: bytes.readBigUInt64LE(16),
    dst: bytes.readBigUInt64LE(24),
  };
}

/** PS_TYPE_PID and PS_TYPE_SHMEM. */
const TYPE: Readonly<Record<PageOwner, bigint>> = { pagemap: 1n, 'pagemap-shmem': 2n };
/** Older versions of CRIU sent numbers of their own: the list is in decode_pm(). */
const TASK_TYPES = new Set([1n, 10n, 11n, 16n, 17n]);
const SHARED_TYPES = new Set([2n, 27n, 28n, 29n, 32n, 33n, 34n]);
const TYPE_BITS = 8n;
const ID_MAX = 0xffff_ffffn;

export function encodeOwner(owner: PageOwner, id: number): bigint {
  return (BigInt(id) << TYPE_BITS) | TYPE[owner];
}

/** Undefined when it means nothing. */
export function decodeOwner(dst: bigint): { readonly owner: PageOwner; readonly id: number } | undefined {
  const type = dst & ((1n << TYPE_BITS) - 1n);
  const id = dst >> TYPE_BITS;
  if (id > ID_MAX) return undefined;
  if (TASK_TYPES.has(type)) return { owner: 'pagemap', id: Number(id) };
  return SHARED_TYPES.has(type) ? { owner: 'pagemap-shmem', id: Number(id) } : undefined;
}

const PAGE_BYTES = 4096n;
/** End of user addresses: TASK_SIZE_MAX. */
const USER_END = 0x7fff_ffff_f000n;

/** Why a run of pages cannot be; undefined when it can. Nothing is allocated or read before this was asked. */
export function badRange({ vaddr, pages }: Pick<PageRecord, 'vaddr' | 'pages'>): string | undefined {
  if (vaddr % PAGE_BYTES !== 0n) return `address 0x${vaddr.toString(16)} is not page aligned`;
  if (vaddr >= USER_END || pages === 0n || pages > (USER_END - vaddr) / PAGE_BYTES)
    return `${pages} pages at 0x${vaddr.toString(16)} do not fit the address space`;
  return undefined;
}

/** What a record says of its pages, whatever command it uses. */
export function entryFlags({ command, flags }: PageRecord): number {
  if (command === COMMAND.add) return PAGE.present;
  return command === COMMAND.hole ? PAGE.parent : flags;
}
