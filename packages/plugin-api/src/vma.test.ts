import { MAP, PROT, piecesOf } from './vma';

const MIB = 1n << 20n;
const RW = PROT.read | PROT.write;
const at = (sizeBytes: bigint) => ({ start: 0x7000_0000_0000n, end: 0x7000_0000_0000n + sizeBytes });

test('what needs no promise of the kernel is mapped by one call, whatever its size', () => {
  for (const [size, prot, flags] of [
    [512n * MIB, RW, MAP.private],
    [1n << 45n, 0, MAP.private],
    [1n << 45n, RW, MAP.private | MAP.noReserve],
  ] as const)
    expect(piecesOf(at(size), prot, flags)).toEqual([{ start: 0x7000_0000_0000n, size }]);
});

test('much writable memory is mapped in parts, which are all of it, in order', () => {
  for (const size of [512n * MIB + 4096n, 30_000n * MIB, (1n << 45n) + 4096n]) {
    const pieces = piecesOf(at(size), RW, MAP.private);
    let position = 0x7000_0000_0000n;
    for (const piece of pieces) {
      expect(piece.start).toBe(position);
      position += piece.size;
    }
    expect(position).toBe(at(size).end);
    expect(pieces.length).toBeGreaterThan(1);
    expect(pieces.length).toBeLessThanOrEqual(1024);
  }
});
