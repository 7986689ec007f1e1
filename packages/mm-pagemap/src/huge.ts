/** Contents of objects that are files of huge TLB pages. */
import { fstatSync } from 'node:fs';
import type { PagemapHead } from '@crts/image-io';
import { preadFull, preallocate, pwriteFull } from '@crts/native-syscalls';
import type { ImageSink, PageOutlet, PageStats, StoredMemory } from '@crts/plugin-api';
import { objectUnreadable, pagesNotWritten } from './errors';
import { type Extent, entryOf } from './extents';
import { PRESENT } from './pagemap';
import { sendCopied } from './send';

const PAGE = 4096;
const PIECE_BYTES = 2 * 1024 * 1024;
const BLOCK = 512n;

/**
 * Such a file has no SEEK_DATA and no sendfile(2): it is read through the engine. Reading a hole takes no page
 * (hugetlbfs_read_iter(), fs/hugetlbfs/inode.c), and what is zero is stored as a hole.
 */
export function dumpHuge(
  memory: StoredMemory,
  object: number,
  sink: ImageSink,
  outlet?: PageOutlet,
): Omit<PageStats, 'guards'> {
  const { shmid, pagesId, via } = memory;
  const size = Number(memory.sizeBytes);
  const { blocks } = fstatSync(object, { bigint: true });
  outlet?.open('pagemap-shmem', shmid);
  const pages = outlet === undefined ? sink.rawFd('pages', pagesId) : -1;
  const extents: Extent[] = [];
  let written = 0;
  if (blocks > 0n) {
    const failed = (errno: string | undefined) => pagesNotWritten(undefined, blocks * BLOCK, errno);
    const buffer = Buffer.alloc(Math.min(PIECE_BYTES, size));
    for (let at = 0; at < size; at += buffer.length) {
      const piece = buffer.subarray(0, Math.min(buffer.length, size - at));
      attempt(
        () => preadFull(object, piece, BigInt(at)),
        (errno) => objectUnreadable(via, errno),
      );
      if (isZero(piece)) continue;
      if (outlet !== undefined) sendCopied(BigInt(at), piece, PRESENT, outlet);
      else
        attempt(() => {
          if (written === 0) preallocate(pages, blocks * BLOCK < memory.sizeBytes ? blocks * BLOCK : memory.sizeBytes);
          pwriteFull(pages, piece, BigInt(written));
        }, failed);
      add(extents, at, at + piece.length);
      written += piece.length;
    }
  }
  const head: PagemapHead = { pages_id: pagesId };
  if (outlet === undefined) sink.write('pagemap-shmem', shmid, [head, ...extents.map(entryOf)]);
  return { pagesScanned: size / PAGE, pagesWritten: written / PAGE };
}

function add(extents: Extent[], start: number, end: number): void {
  const last = extents.at(-1);
  if (last?.end === start) extents[extents.length - 1] = { start: last.start, end };
  else extents.push({ start, end });
}

function isZero(bytes: Buffer): boolean {
  // A buffer that begins with zero and equals itself one byte on is zero throughout.
  return bytes[0] === 0 && bytes.subarray(1).equals(bytes.subarray(0, -1));
}

function attempt(action: () => void, failure: (errno: string | undefined) => Error): void {
  try {
    action();
  } catch (error) {
    const { errno, code } = error as { errno?: string | number; code?: string };
    throw failure(typeof errno === 'string' ? errno : code);
  }
}
