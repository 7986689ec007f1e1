import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { buildIdOfPath, type ReadAt, readBuildId } from './build-id';

// One run is like the other: what a new seed finds belongs into a named test.
fc.configureGlobal({ seed: 20261126 });

const reader =
  (file: Buffer): ReadAt =>
  (offset, length) =>
    file.subarray(offset, offset + length);

interface Note {
  readonly type: number;
  readonly name?: string;
  readonly id: Buffer;
}

const pad = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);

function noteBytes({ type, name = 'GNU\0', id }: Note): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt32LE(name.length, 0);
  head.writeUInt32LE(id.length, 4);
  head.writeUInt32LE(type, 8);
  return Buffer.concat([head, pad(Buffer.from(name, 'latin1')), pad(id)]);
}

/** An ELF file of headers and notes only; each list of notes is one PT_NOTE segment. */
function elf(bits: 32 | 64, segments: readonly (readonly Note[])[], notesAt = 0x400): Buffer {
  const [head, entry] = bits === 64 ? [64, 56] : [52, 32];
  const file = Buffer.alloc(notesAt);
  file.write('\x7fELF', 'latin1');
  file[4] = bits === 64 ? 2 : 1;
  file[5] = 1;
  if (bits === 64) file.writeBigUInt64LE(BigInt(head), 32);
  else file.writeUInt32LE(head, 28);
  file.writeUInt16LE(entry, bits === 64 ? 54 : 42);
  file.writeUInt16LE(segments.length, bits === 64 ? 56 : 44);
  const bodies: Buffer[] = [];
  let offset = notesAt;
  segments.forEach((notes, index) => {
    const body = Buffer.concat(notes.map(noteBytes));
    const at = head + index * entry;
    file.writeUInt32LE(4, at);
    if (bits === 64) {
      file.writeBigUInt64LE(BigInt(offset), at + 8);
      file.writeBigUInt64LE(BigInt(body.length), at + 32);
    } else {
      file.writeUInt32LE(offset, at + 4);
      file.writeUInt32LE(body.length, at + 16);
    }
    bodies.push(body);
    offset += body.length;
  });
  return Buffer.concat([file, ...bodies]);
}

const id = Buffer.from('0102030405060708090a', 'hex');
const words = [0x04030201, 0x08070605, 0x0a09];

test.each([32, 64] as const)('the build id of a %d-bit file, its last word padded', (bits) => {
  const file = elf(bits, [
    [{ type: 5, id: Buffer.alloc(32, 1) }],
    [
      { type: 1, id: Buffer.alloc(3) },
      { type: 3, id },
    ],
  ]);
  expect(readBuildId(reader(file))).toEqual(words);
});

test('as in CRIU the first note of type 3 counts, whatever its name', () => {
  const file = elf(64, [[{ type: 3, name: 'X\0', id }], [{ type: 3, id: Buffer.alloc(20, 9) }]]);
  expect(readBuildId(reader(file))).toEqual(words);
});

test.each([
  ['empty', Buffer.alloc(0)],
  ['no notes', elf(64, [])],
  ['another kind of file', Buffer.from(`#!/bin/sh\n${' '.repeat(100)}`)],
  ['big-endian', Object.assign(elf(64, [[{ type: 3, id }]]), { 5: 2 })],
  ['a class that does not exist', Object.assign(elf(64, [[{ type: 3, id }]]), { 4: 9 })],
  ['an empty build id', elf(64, [[{ type: 3, id: Buffer.alloc(0) }]])],
  ['a build id longer than the format allows', elf(64, [[{ type: 3, id: Buffer.alloc(516) }]])],
  ['cut in the note', elf(64, [[{ type: 3, id }]]).subarray(0, 0x400 + 18)],
])('no build id: %s', (_what, file) => {
  expect(readBuildId(reader(file))).toEqual([]);
});

test('notes count in the first MiB only', () => {
  expect(readBuildId(reader(elf(64, [[{ type: 3, id }]], 1024 * 1024)))).toEqual([]);
  expect(readBuildId(reader(elf(64, [[{ type: 3, id }]], 1024 * 1024 - 64)))).toEqual(words);
});

test('a file that is no ELF is not read beyond its first 64 bytes', () => {
  const asked: number[] = [];
  readBuildId((offset, length) => {
    asked.push(offset + length);
    return Buffer.alloc(length, 0x41);
  });
  expect(asked).toEqual([64]);
});

test('any damage is read within bounds', () => {
  const file = elf(64, [[{ type: 3, id }]]);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { maxLength: 40 }), (flips) => {
      const damaged = Buffer.from(file);
      for (const [at, value] of flips) if (at > 5) damaged[at] = value;
      let read = 0;
      const found = readBuildId((offset, length) => {
        expect(Number.isSafeInteger(offset) && offset >= 0 && offset <= 1024 * 1024).toBe(true);
        expect(length).toBeLessThanOrEqual(64 * 1024);
        read++;
        return damaged.subarray(offset, offset + length);
      });
      expect(read).toBeLessThanOrEqual(2 + 512);
      expect(found.length).toBeLessThanOrEqual(128);
    }),
  );
});

test('the build id of a file that ld made', () => {
  const directory = mkdtempSync(join(tmpdir(), 'crts-build-id-'));
  try {
    const program = join(directory, 'program');
    execFileSync(
      'cc',
      ['-nostdlib', '-static', '-Wl,--build-id=0x0102030405060708090a', '-x', 'c', '-o', program, '-'],
      {
        input: 'void _start(void) {}',
      },
    );
    expect(buildIdOfPath(program)).toEqual(words);
    expect(readBuildId(reader(readFileSync(program)))).toEqual(words);
    expect(buildIdOfPath(directory)).toEqual([]);
    expect(buildIdOfPath(join(directory, 'missing'))).toEqual([]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('the build id of a real program is what readelf says', () => {
  const text = execFileSync('readelf', ['-n', '/bin/bash'], { encoding: 'utf8' });
  const bytes = Buffer.alloc(20);
  for (const [index, word] of buildIdOfPath('/bin/bash').entries()) bytes.writeUInt32LE(word, 4 * index);
  expect(bytes.toString('hex')).toBe(/Build ID: ([0-9a-f]+)/.exec(text)![1]);
});
