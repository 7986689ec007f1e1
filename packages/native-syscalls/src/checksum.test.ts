import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { blockChecksums, CHECKSUM_BLOCK } from './checksum';

const file = join(tmpdir(), `crts-checksum-${process.pid}`);
afterEach(() => rmSync(file, { force: true }));

function sumsOf(bytes: Buffer, offset = 0, length = bytes.length - offset): number[] {
  writeFileSync(file, bytes);
  const fd = openSync(file, 'r');
  try {
    const sums = blockChecksums(fd, BigInt(offset), BigInt(length));
    return Array.from({ length: sums.length / 4 }, (_, index) => sums.readUInt32LE(4 * index));
  } finally {
    closeSync(fd);
  }
}

/** Bit by bit, as RFC 3720 has it. */
function plain(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) !== 0 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = 88172645;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[index] = state >>> 16;
  }
  return bytes;
}

test('the sums are CRC-32C: vectors of RFC 3720', () => {
  expect(sumsOf(Buffer.from('123456789'))).toEqual([0xe3069283]);
  expect(sumsOf(Buffer.alloc(32))).toEqual([0x8a9136aa]);
  expect(sumsOf(Buffer.alloc(32, 0xff))).toEqual([0x62a8ab43]);
});

test.each([0, 1, 7, 4095, 4096, 4097, 3 * 4096, 3 * 4096 + 5, 50 * 4096 + 1])(
  'of %i bytes, block by block',
  (length) => {
    const bytes = noise(length);
    const blocks = Array.from({ length: Math.ceil(length / CHECKSUM_BLOCK) }, (_, index) =>
      plain(bytes.subarray(index * CHECKSUM_BLOCK, (index + 1) * CHECKSUM_BLOCK)),
    );
    expect(sumsOf(bytes)).toEqual(blocks);
  },
);

test('a stretch has the sums of its own bytes', () => {
  const bytes = noise(4 * 4096);
  expect(sumsOf(bytes, 4096, 4096)).toEqual([plain(bytes.subarray(4096, 8192))]);
});

test('what two threads sum up is the same', () => {
  const bytes = noise(4096 * 3);
  const many = Buffer.alloc(17 * 1024 * 1024);
  for (let at = 0; at < many.length; at += bytes.length) bytes.copy(many, at);
  const one = sumsOf(bytes);
  expect(sumsOf(many)).toEqual(Array.from({ length: many.length / 4096 }, (_, index) => one[index % 3]));
});

test('a file that is too short is an error', () => {
  expect(() => sumsOf(Buffer.alloc(100), 0, 101)).toThrow(/ENODATA/);
});
