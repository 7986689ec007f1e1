import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memfd } from '@crts/native-syscalls';
import type { ImageRecord } from '@crts/plugin-api';
import { dumpShared } from './shared';

const directory = mkdtempSync(join(tmpdir(), 'crts-shared-'));
const pagesFile = join(directory, 'pages');
const pages = openSync(pagesFile, 'w');

afterAll(() => {
  closeSync(pages);
  rmSync(directory, { recursive: true });
});

/** Dumps an object with these bytes at these offsets. */
function dump(sizeBytes: number, ...contents: [offset: number, bytes: string][]) {
  return dumpOf(undefined, sizeBytes, contents);
}

function dumpOf(hugePageBytes: bigint | undefined, sizeBytes: number, contents: [offset: number, bytes: string][]) {
  const fd = memfd('object', sizeBytes);
  try {
    for (const [offset, bytes] of contents) writeSync(fd, bytes, offset);
    const written: Record<string, readonly ImageRecord[]> = {};
    const sink = {
      write: (kind: string, id: number | undefined, entries: readonly ImageRecord[]) => {
        written[`${kind}-${id}`] = entries;
      },
      rawFd: () => pages,
    };
    const memory = {
      dev: 1n,
      ino: 2n,
      sizeBytes: BigInt(sizeBytes),
      via: `/proc/self/fd/${fd}`,
      shmid: 7,
      pagesId: 3,
      hugePageBytes,
    };
    return { stats: dumpShared(memory, sink), written };
  } finally {
    closeSync(fd);
  }
}

test('extents by offset, one after the other in the pages image; the last page may be cut by the end', () => {
  ftruncateSync(pages, 0);
  const { stats, written } = dump(5 * 4096 + 3, [4096, 'a'.repeat(4096)], [5 * 4096, 'xyz']);
  expect(written).toEqual({
    'pagemap-shmem-7': [
      { pages_id: 3 },
      { vaddr: 0x1000n, compat_nr_pages: 0, flags: 4, nr_pages: 1n },
      { vaddr: 0x5000n, compat_nr_pages: 0, flags: 4, nr_pages: 1n },
    ],
  });
  expect(stats).toEqual({ pagesScanned: 6, pagesWritten: 2 });
  expect(readFileSync(pagesFile)).toEqual(
    Buffer.concat([Buffer.alloc(4096, 'a'), Buffer.from('xyz'), Buffer.alloc(4093)]),
  );
});

test('an object without pages has a pagemap of nothing; one without size has none', () => {
  expect(dump(1 << 30).written).toEqual({ 'pagemap-shmem-7': [{ pages_id: 3 }] });
  expect(dump(0)).toEqual({ written: {}, stats: { pagesScanned: 0, pagesWritten: 0 } });
});

test('an object that cannot be read', () => {
  const memory = { dev: 1n, ino: 2n, sizeBytes: 1n, via: '/proc/self/map_files/1-2', shmid: 7, pagesId: 3 };
  const sink = { write: () => undefined, rawFd: () => pages };
  expect(() => dumpShared(memory, sink)).toThrow(/CRTS_PAGES_WRITE/);
});

test('of huge pages, pieces that hold something are stored', () => {
  const huge = 2 << 20;
  ftruncateSync(pages, 0);
  const { stats, written } = dumpOf(BigInt(huge), 5 * huge, [
    [huge + 7, 'a'],
    [3 * huge - 1, 'b'],
    [4 * huge, 'c'],
  ]);
  expect(written['pagemap-shmem-7']).toEqual([
    { pages_id: 3 },
    { vaddr: BigInt(huge), compat_nr_pages: 0, flags: 4, nr_pages: 1024n },
    { vaddr: BigInt(4 * huge), compat_nr_pages: 0, flags: 4, nr_pages: 512n },
  ]);
  expect(stats).toEqual({ pagesScanned: 5 * 512, pagesWritten: 3 * 512 });
  const stored = readFileSync(pagesFile);
  expect([stored[7], stored[2 * huge - 1], stored[2 * huge]]).toEqual([97, 98, 99]);
  expect(dumpOf(BigInt(huge), 5 * huge, []).written).toEqual({ 'pagemap-shmem-7': [{ pages_id: 3 }] });
});
