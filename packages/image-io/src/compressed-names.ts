/** Which pages images of a directory are compressed, and what they hold: known without any library. */
import { fstatSync, readSync } from 'node:fs';
import { readSeekTable, type SeekTable } from './seek-table';

export type CodecName = 'zstd' | 'lz4';

/** Behind `pages-N.img`: as the tools of the formats have it. */
export const SUFFIXES: Readonly<Record<CodecName, string>> = { zstd: '.zst', lz4: '.lz4' };

export interface CompressedImage {
  readonly name: string;
  readonly id: number;
  readonly codec: CodecName;
}

/** A plain image beside a compressed one is the newer: the compressed one gets its name when it is whole. */
export function compressedImages(names: readonly string[]): CompressedImage[] {
  return names.flatMap((name) => {
    const match = /^(pages-(\d+)\.img)(\.zst|\.lz4)$/.exec(name);
    if (match === null || names.includes(match[1]!)) return [];
    const codec = match[3] === SUFFIXES.zstd ? ('zstd' as const) : ('lz4' as const);
    return [{ name, id: Number(match[2]), codec }];
  });
}

export function tableOf(fd: number, file: string): SeekTable {
  return readSeekTable(fstatSync(fd).size, (offset, length) => readAt(fd, offset, length), file);
}

/** Bytes of a file; throws where it ends before. */
export function readAt(fd: number, offset: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const count = readSync(fd, bytes, done, length - done, offset + done);
    if (count === 0) throw new Error(`the file ends at ${offset + done}`);
    done += count;
  }
  return bytes;
}
