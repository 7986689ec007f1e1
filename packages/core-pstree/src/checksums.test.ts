import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImageReader, ImageWriter } from '@crts/image-io';
import type { CrtsError } from '@crts/plugin-api';
import fc from 'fast-check';
import { verifyImages, writeChecksums } from './checksums';
import type { Registry } from './registry';

const PAGES = 5;
const directory = mkdtempSync(join(tmpdir(), 'crts-checksums-'));
afterAll(() => rmSync(directory, { recursive: true }));

beforeEach(() => {
  const writer = ImageWriter.open(directory);
  writer.write('inventory', undefined, [{ img_version: 2 }]);
  writer.write('pagemap', 7, [
    { pages_id: 1 },
    { vaddr: 0x10000n, compat_nr_pages: 0, nr_pages: BigInt(PAGES), flags: 4 },
  ]);
  writer.write('core', 7, [{ mtype: 1 }]);
  writeSync(writer.rawFd('pages', 1), Buffer.alloc(PAGES * 4096, 'memory'));
  writeChecksums(writer);
  writer.commit(false);
  writer.close();
});

/** The task's pages but for the first, which another set is to have superseded. */
const registry = {
  pages: {
    open: (_pid: number, source: ImageReader) => ({
      files: [source.rawFd('pages', 1)],
      names: ['pages-1.img'],
      runs: () => [{ addr: 0x11000n, lengthBytes: BigInt((PAGES - 1) * 4096), fileOffset: 4096n, file: 0 }],
      read: () => undefined,
    }),
  },
} as unknown as Registry;

function verify(): CrtsError | undefined {
  const reader = ImageReader.open(directory);
  try {
    verifyImages(registry, reader);
    return undefined;
  } catch (error) {
    return error as CrtsError;
  } finally {
    reader.close();
  }
}

function flip(name: string, offset: number, mask = 1): void {
  const bytes = readFileSync(join(directory, name));
  bytes[offset]! ^= mask;
  writeFileSync(join(directory, name), bytes);
}

test('what was written is right', () => {
  expect(verify()).toBeUndefined();
});

test('a flipped bit of a page is told by image, offset, pid and address', () => {
  flip('pages-1.img', 3 * 4096 + 17);
  expect(verify()).toMatchObject({ code: 'CRTS_CHECKSUM', path: 'pages-1.img', pid: 7 });
  expect(verify()!.message).toContain('offset 0x3000 (block 3)');
  expect(verify()!.message).toContain('the page at 0x13000');
});

test('a page that a restore does not read may have been taken out', () => {
  flip('pages-1.img', 17);
  expect(verify()).toBeUndefined();
});

test('any flipped bit of any image is found', () => {
  const names = readdirSync(directory).filter((name) => name !== 'pages-1.img');
  expect(names).toContain('crts-checksums');
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.nat(), fc.integer({ min: 0, max: 7 }), (name, at, bit) => {
      const offset = at % readFileSync(join(directory, name)).length;
      flip(name, offset, 1 << bit);
      const error = verify();
      flip(name, offset, 1 << bit);
      expect(error?.message ?? 'no error').toContain(name);
    }),
    { seed: 7, numRuns: 200 },
  );
});

test('an image that is shorter, longer or gone is told', () => {
  truncateSync(join(directory, 'core-7.img'), 9);
  expect(verify()).toMatchObject({ code: 'CRTS_CHECKSUM', path: 'core-7.img', pid: undefined });
  unlinkSync(join(directory, 'core-7.img'));
  expect(verify()).toMatchObject({ code: 'CRTS_CHECKSUM', path: 'core-7.img' });
});

test('images without checksums are refused', () => {
  unlinkSync(join(directory, 'crts-checksums'));
  expect(verify()).toMatchObject({ code: 'CRTS_CHECKSUM_MISSING', kind: 'refused' });
});

test('a later set in the directory takes the checksums of the old one away', () => {
  const writer = ImageWriter.open(directory);
  writer.write('inventory', undefined, [{ img_version: 2 }]);
  writer.commit(false);
  writer.close();
  expect(readdirSync(directory)).not.toContain('crts-checksums');
});
