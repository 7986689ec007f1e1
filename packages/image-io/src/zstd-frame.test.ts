import { checkZstdFrame } from './zstd-frame';

/** Header without content size, then blocks of [type, size field, bytes]. */
function frame(blocks: readonly (readonly [type: number, length: number, bytes: number])[], tail = 0): Buffer {
  const parts = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0x58])];
  blocks.forEach(([type, length, bytes], index) => {
    const header = Buffer.alloc(3);
    header.writeUIntLE((length << 3) | (type << 1) | (index === blocks.length - 1 ? 1 : 0), 0, 3);
    parts.push(header, Buffer.alloc(bytes));
  });
  return Buffer.concat([...parts, Buffer.alloc(tail)]);
}

test('a frame of raw, repeated and compressed blocks', () => {
  const blocks = [
    [0, 10, 10],
    [1, 1000, 1],
    [2, 30, 30],
  ] as const;
  expect(() => checkZstdFrame(frame(blocks), 5000)).not.toThrow();
});

test.each<[string, Buffer]>([
  ['empty', Buffer.alloc(0)],
  ['without magic', Buffer.alloc(20)],
  ['cut in a block', frame([[0, 10, 9]])],
  ['followed by another', Buffer.concat([frame([[0, 1, 1]]), frame([[0, 1, 1]])])],
  ['with a reserved block', frame([[3, 1, 1]])],
  ['with a block too large', frame([[1, 200_000, 1]])],
  ['of ten thousand blocks that repeat a byte', frame(Array.from({ length: 10_000 }, () => [1, 131_072, 1] as const))],
])('a frame %s is refused', (_what, bytes) => {
  expect(() => checkZstdFrame(bytes, 4096)).toThrow(/no zstd frame/);
});

test('a frame that says another size is refused', () => {
  // Single segment, size in one byte: 5.
  const said = Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, 5, 1 | (5 << 3), 0, 0]), Buffer.alloc(5)]);
  expect(() => checkZstdFrame(said, 5)).not.toThrow();
  expect(() => checkZstdFrame(said, 6)).toThrow(/says that it has 5/);
});
