import fc from 'fast-check';
import { encodeSeekTable, FRAME_BYTES, readSeekTable } from './seek-table';

const sizes = [
  { sizeBytes: 100, plainBytes: FRAME_BYTES },
  { sizeBytes: 7, plainBytes: 4096 },
];

/** A file of frames of these sizes, all zeroes, with its table. */
function fileOf(table: Buffer, frameBytes = 107): Buffer {
  return Buffer.concat([Buffer.alloc(frameBytes), table]);
}

function read(file: Buffer) {
  return readSeekTable(file.length, (offset, length) => file.subarray(offset, offset + length), 'pages-1.img.zst');
}

test('a table says where each frame lies', () => {
  expect(read(fileOf(encodeSeekTable(sizes)))).toEqual({
    plainBytes: FRAME_BYTES + 4096,
    frames: [
      { offset: 0, sizeBytes: 100, plainOffset: 0, plainBytes: FRAME_BYTES },
      { offset: 100, sizeBytes: 7, plainOffset: FRAME_BYTES, plainBytes: 4096 },
    ],
  });
});

test('it is a skippable frame, as in the seekable format of zstd', () => {
  const table = encodeSeekTable(sizes);
  expect(table.readUInt32LE(0)).toBe(0x184d2a5e);
  expect(table.readUInt32LE(4)).toBe(table.length - 8);
  expect(table.readUInt32LE(table.length - 4)).toBe(0x8f92eab1);
});

test.each<[string, (table: Buffer) => Buffer]>([
  ['cut', (table) => table.subarray(0, -1)],
  ['of one frame less', (table) => table.fill(1, table.length - 9, table.length - 8)],
  ['of four billion frames', (table) => table.fill(0xff, table.length - 9, table.length - 5)],
  ['with another descriptor', (table) => table.fill(0x80, table.length - 5, table.length - 4)],
  ['with a frame of no bytes', (table) => table.fill(0, 8, 12)],
  ['with a frame of more bytes than a frame can have', (table) => table.fill(0xff, 8, 12)],
  ['with a short frame in the middle', (table) => table.fill(1, 12, 13)],
  ['with a frame too much memory', (table) => table.fill(0xff, 20, 24)],
  ['without head', (table) => table.fill(0, 0, 4)],
])('a table %s is refused', (_what, change) => {
  expect(() => read(fileOf(change(encodeSeekTable(sizes))))).toThrow(/CRTS_IMAGE_FRAMES/);
});

test('frames that do not fill the file are refused', () => {
  expect(() => read(fileOf(encodeSeekTable(sizes), 108))).toThrow(/CRTS_IMAGE_FRAMES/);
  expect(() => read(Buffer.alloc(5))).toThrow(/CRTS_IMAGE_FRAMES/);
});

test('a damaged file is refused or read as frames that lie in it', () => {
  const good = fileOf(encodeSeekTable(sizes));
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
      const file = Buffer.from(good);
      file[at]! ^= mask;
      try {
        const { frames } = read(file);
        for (const { offset, sizeBytes } of frames) expect(offset + sizeBytes).toBeLessThanOrEqual(107);
      } catch (error) {
        expect(String(error)).toContain('CRTS_IMAGE_FRAMES');
      }
    }),
    { seed: 11, numRuns: 500 },
  );
});
