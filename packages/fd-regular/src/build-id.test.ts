import { execFileSync } from 'node:child_process';
import { buildId, readBuildId } from './build-id';

test('the build id of a real program is what readelf says', () => {
  const text = execFileSync('readelf', ['-n', '/bin/bash'], { encoding: 'utf8' });
  const hex = /Build ID: ([0-9a-f]+)/.exec(text)![1]!;
  const words = buildId('/bin/bash');
  const bytes = Buffer.alloc(words.length * 4);
  for (const [index, word] of words.entries()) bytes.writeUInt32LE(word, 4 * index);
  expect(bytes.toString('hex')).toBe(hex);
});

test('what is no ELF file, or a broken one, has none', () => {
  expect(buildId('/etc/passwd')).toEqual([]);
  expect(buildId('/no/such/file')).toEqual([]);
  const header = Buffer.alloc(64);
  Buffer.from('7f454c46020101', 'hex').copy(header);
  header.writeBigUInt64LE(64n, 32);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(0xffff, 56);
  expect(readBuildId((offset, length) => header.subarray(offset, offset + length))).toEqual([]);
});
