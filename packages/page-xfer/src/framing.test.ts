import { COMMAND, encodeRecord, PAGE } from './codec';
import { Framing } from './framing';

const record = (command: number, flags: number, pages: bigint) =>
  encodeRecord({ command, flags, pages, vaddr: 0x1000n, dst: 0x101n });

test('records and pages are never in one piece, however they come', () => {
  const stream = Buffer.concat([
    record(COMMAND.open2, 0, 0n),
    record(COMMAND.addFlags, PAGE.present, 5n),
    Buffer.alloc(5 * 4096, 1),
    record(COMMAND.addFlags, PAGE.parent, 9n),
    record(COMMAND.add, 0, 1n),
    Buffer.alloc(4096, 2),
    record(COMMAND.close, 0, 0n),
  ]);
  for (const size of [1, 31, 1000, 5000, 100_000]) {
    const framing = new Framing();
    const pieces: Buffer[] = [];
    for (let at = 0; at < stream.length; at += size)
      for (const piece of framing.feed(stream.subarray(at, at + size))) pieces.push(piece);
    expect(pieces.map(({ length }) => length)).toEqual([32, 32, 16384, 4096, 32, 32, 4096, 32]);
    expect(Buffer.concat(pieces).equals(stream)).toBe(true);
  }
});
