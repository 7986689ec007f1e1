import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { CodecName } from './compressed-names';
import { CompressedFile, compressImages, decompressImages, openPlainPages, openPlainPagesLate } from './compressed-set';
import { ImageReader } from './image-reader';
import { ImageWriter } from './image-writer';
import { FRAME_BYTES } from './seek-table';

const LIBRARIES = { lz4: 'lz4-napi', zstd: '@toondepauw/node-zstd' } as const;
const SUFFIX = { lz4: '.lz4', zstd: '.zst' } as const;

function isInstalled(library: string): boolean {
  try {
    require.resolve(library);
    return true;
  } catch {
    return false;
  }
}

/** Half noise, half not. */
const memory = Buffer.alloc(3 * FRAME_BYTES + 4096);
for (let at = 0, state = 1; at < memory.length; at++) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  memory[at] = Math.floor(at / 65536) % 2 === 0 ? state >>> 24 : at >>> 12;
}

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crts-compressed-'));
  const writer = ImageWriter.open(directory);
  writer.write('inventory', undefined, [{ img_version: 2 }]);
  writeSync(writer.rawFd('pages', 1), memory);
  writer.rawFd('pages', 2);
  writer.commit(false);
  writer.close();
});
afterEach(() => rmSync(directory, { recursive: true }));

const temporary = () => openSync(join(directory, 'temporary'), 'wx+');

/** Of a codec whose library is there: it is an optional dependency. */
describe.each(['lz4', 'zstd'] as const)('%s', (codec: CodecName) => {
  const name = `pages-1.img${SUFFIX[codec]}`;
  const run = isInstalled(LIBRARIES[codec]) ? test : test.skip;

  run('pages images are compressed and made plain again; empty ones stay', async () => {
    const { plainBytes, compressedBytes } = await compressImages(directory, { codec }, false);
    expect(readdirSync(directory).sort()).toEqual(['inventory.img', name, 'pages-2.img']);
    expect([plainBytes, compressedBytes]).toEqual([memory.length, statSync(join(directory, name)).size]);
    expect(compressedBytes).toBeLessThan(0.7 * plainBytes);
    await decompressImages(directory, false);
    expect(readdirSync(directory).sort()).toEqual(['inventory.img', 'pages-1.img', 'pages-2.img']);
    expect(readFileSync(join(directory, 'pages-1.img')).equals(memory)).toBe(true);
  });

  run('any part can be read', async () => {
    await compressImages(directory, { codec }, false);
    const reader = ImageReader.open(directory);
    const file = CompressedFile.open(reader, reader.compressed()[0]!);
    try {
      await fc.assert(
        fc.asyncProperty(fc.nat(memory.length + 10), fc.nat(2 * FRAME_BYTES), async (offset, length) => {
          expect((await file.read(offset, length)).equals(memory.subarray(offset, offset + length))).toBe(true);
        }),
        { seed: 3, numRuns: 40 },
      );
    } finally {
      file.close();
      reader.close();
    }
  });

  run('a reader gets the plain contents', async () => {
    await compressImages(directory, { codec }, false);
    const { files, close } = await openPlainPages(directory, temporary);
    const reader = ImageReader.open(directory, files);
    expect(reader.rawSize('pages', 1)).toBe(BigInt(memory.length));
    expect(readFileSync(`/proc/self/fd/${reader.rawFd('pages', 1)}`).equals(memory)).toBe(true);
    reader.close();
    close();
    const plain = ImageReader.open(directory);
    expect(plain.rawSize('pages', 1)).toBe(BigInt(memory.length));
    expect(() => plain.rawFd('pages', 1)).toThrow(/CRTS_IMAGES_COMPRESSED/);
    plain.close();
  });

  run('what is asked for late is there, and nothing else', async () => {
    await compressImages(directory, { codec }, false);
    const { files, fill, close } = await openPlainPagesLate(directory, temporary);
    const fd = files.get(`${directory}/pages-1.img`)!;
    const plain = () => readFileSync(`/proc/self/fd/${fd}`);
    expect(plain().equals(Buffer.alloc(memory.length))).toBe(true);
    fill!(fd, BigInt(FRAME_BYTES) + 5n, 10n);
    fill!(fd, BigInt(memory.length) - 4096n, 4096n);
    const expected = Buffer.from(memory)
      .fill(0, 0, FRAME_BYTES)
      .fill(0, 2 * FRAME_BYTES, 3 * FRAME_BYTES);
    expect(plain().equals(expected)).toBe(true);
    fill!(fd, 0n, BigInt(memory.length) + 100n);
    expect(plain().equals(memory)).toBe(true);
    close();
  });

  run('a damaged frame is told when it is asked for', async () => {
    await compressImages(directory, { codec }, false);
    const bytes = readFileSync(join(directory, name)).fill(0, 0, 64);
    writeFileSync(join(directory, name), bytes);
    const { files, fill, close } = await openPlainPagesLate(directory, temporary);
    const fd = files.get(`${directory}/pages-1.img`)!;
    expect(() => fill!(fd, 0n, 1n)).toThrow(/CRTS_IMAGE_FRAMES/);
    fill!(fd, BigInt(FRAME_BYTES), 1n);
    close();
  });

  run('whatever is damaged or cut, an error names the image, or nothing is wrong', async () => {
    await compressImages(directory, { codec }, false);
    const good = readFileSync(join(directory, name));
    let found = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.nat(254), fc.boolean(), async (at, mask, isCut) => {
        const bytes = Buffer.from(good);
        bytes[at]! ^= mask + 1;
        writeFileSync(join(directory, name), isCut ? bytes.subarray(0, at) : bytes);
        try {
          const { close } = await openPlainPages(directory, temporary);
          close();
        } catch (error) {
          expect(String(error)).toContain(name);
          expect(String(error)).toContain('CRTS_IMAGE_FRAMES');
          found += 1;
        }
      }),
      { seed: 9, numRuns: 60 },
    );
    // Not all: neither format sums up its contents here; --checksum does.
    expect(found).toBeGreaterThan(30);
  });

  run('a set whose directory takes no unnamed file is decompressed elsewhere', async () => {
    await compressImages(directory, { codec }, false);
    const fd = temporary();
    const reader = ImageReader.open(directory);
    const file = CompressedFile.open(reader, reader.compressed()[0]!);
    await file.writeTo(fd);
    file.close();
    reader.close();
    expect(readFileSync(`/proc/self/fd/${fd}`).equals(memory)).toBe(true);
    ftruncateSync(fd);
    closeSync(fd);
  });
});
