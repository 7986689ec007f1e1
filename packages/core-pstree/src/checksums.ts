/**
 * Checksums of an image set, on request (--checksum) in a file beside it: CRC-32C of each block of 4 KiB of each image, so that
 * damage is found to the page. They are for accidents, not for attackers.
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync } from 'node:fs';
import type { CrtsChecksumEntry, ImageReader, ImageWriter } from '@crts/image-io';
import { blockChecksums, CHECKSUM_BLOCK } from '@crts/native-syscalls';
import type { PageSource } from '@crts/plugin-api';
import { checksumsDamaged, damaged, imageGone, imageSize, noChecksums } from './checksum-errors';
import type { Registry } from './registry';

const KIND = 'checksums';
/** Page contents are checked where they are used: of a set that others build on, pages may have been taken out. */
const PAGES = /^pages-\d+\.img$/;
/** Sets that build on each other. */
const CHAIN_MAX = 128;

interface Sums {
  readonly sizeBytes: bigint;
  readonly sums: Buffer;
}

/** One set of a chain: `prefix` leads to it from the newest. */
interface CheckedSet {
  readonly prefix: string;
  readonly images: ReadonlyMap<string, Sums>;
}

/** Sums up all images that were written. The program need not stand still. */
export function writeChecksums(writer: ImageWriter): void {
  const items = [...writer.written].map(([name, fd]) => {
    const readable = openSync(`/proc/self/fd/${fd}`, 'r');
    try {
      const { size } = fstatSync(readable, { bigint: true });
      const extra = blockChecksums(readable, 0n, size);
      return { value: { name, size, sums_bytes: extra.length, self: selfOf(name, size, extra) }, extra };
    } finally {
      closeSync(readable);
    }
  });
  writer.writeItems(KIND, undefined, items);
}

/** Checks everything that a restore would read. Throws CrtsError at the first damage. */
export function verifyImages(registry: Registry, reader: ImageReader): void {
  const sets: CheckedSet[] = [];
  for (let set: ImageReader | undefined = reader; set !== undefined && sets.length < CHAIN_MAX; set = set.parent()) {
    const prefix = 'parent/'.repeat(sets.length);
    const images = readSums(set, prefix);
    for (const [name, sums] of images) if (!PAGES.test(name)) verifyImage(set, prefix, name, sums);
    sets.push({ prefix, images });
  }
  for (const pid of reader.ids('pagemap')) verifyPages(registry.pages.open(pid, reader), sets, { pid });
  for (const shmid of reader.ids('pagemap-shmem'))
    verifyPages(registry.pages.openShared(shmid, reader), sets, { shmid });
}

function readSums(set: ImageReader, prefix: string): Map<string, Sums> {
  if (!set.has(KIND)) throw noChecksums(`${prefix}crts-checksums`);
  const images = new Map<string, Sums>();
  for (const { value, extra = Buffer.alloc(0) } of set.items(KIND)) {
    const { name, size, self } = value as CrtsChecksumEntry;
    const blocks = (size + BigInt(CHECKSUM_BLOCK - 1)) / BigInt(CHECKSUM_BLOCK);
    const isWhole = BigInt(extra.length) === 4n * blocks && self === selfOf(name, size, extra);
    if (!isWhole || images.has(name)) throw checksumsDamaged(`${prefix}crts-checksums`, name);
    images.set(name, { sizeBytes: size, sums: extra });
  }
  if (!images.has('inventory.img')) throw checksumsDamaged(`${prefix}crts-checksums`, 'inventory.img');
  return images;
}

function verifyImage(set: ImageReader, prefix: string, name: string, { sizeBytes, sums }: Sums): void {
  const fd = set.openFile(name);
  if (fd === undefined) throw imageGone(prefix + name);
  try {
    const { size } = fstatSync(fd, { bigint: true });
    if (size !== sizeBytes) throw imageSize(prefix + name, size, sizeBytes);
    const bad = firstDifference(blockChecksums(fd, 0n, size), sums);
    if (bad !== undefined) throw damaged(prefix + name, BigInt(bad * CHECKSUM_BLOCK), ownerOf(name));
  } finally {
    closeSync(fd);
  }
}

/** Ids of such images are pids. */
function ownerOf(name: string): { pid?: number } {
  const pid = /^(?:core|mm|ids|fs|pagemap)-(\d+)\.img$/.exec(name)?.[1];
  return pid === undefined ? {} : { pid: Number(pid) };
}

/** The stretches that a restore reads, each against the sums of the set that has it. */
function verifyPages(pages: PageSource, sets: readonly CheckedSet[], owner: { pid?: number; shmid?: number }): void {
  const known = pages.names.map((name) => {
    const depth = name.split('/').length - 1;
    const sums = sets[depth]?.images.get(name.slice(depth * 'parent/'.length));
    if (sums === undefined) throw checksumsDamaged(`${'parent/'.repeat(depth)}crts-checksums`, name);
    return { name, sums: sums.sums };
  });
  for (const { addr, lengthBytes, fileOffset, file } of pages.runs(0n, 2n ** 63n)) {
    const { name, sums } = known[file]!;
    const at = 4 * Number(fileOffset / BigInt(CHECKSUM_BLOCK));
    const found = blockChecksums(pages.files[file]!, fileOffset, lengthBytes);
    const bad = firstDifference(found, sums.subarray(at, at + found.length));
    if (bad === undefined) continue;
    const offset = BigInt(bad * CHECKSUM_BLOCK);
    throw damaged(name, fileOffset + offset, { ...owner, addr: addr + offset });
  }
}

/** Number of the first block whose sums differ. */
function firstDifference(found: Buffer, sums: Buffer): number | undefined {
  if (found.equals(sums)) return undefined;
  for (let at = 0; at < found.length; at += 4)
    if (at + 4 > sums.length || found.readUInt32LE(at) !== sums.readUInt32LE(at)) return at / 4;
  return found.length / 4;
}

/** Of the entry itself: damage of the sums is not damage of what they are of. */
function selfOf(name: string, size: bigint, sums: Buffer): number {
  return createHash('sha256').update(`${name} ${size} `).update(sums).digest().readUInt32LE(0);
}
