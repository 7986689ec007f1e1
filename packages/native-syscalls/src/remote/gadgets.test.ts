import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { VmaFacts } from '@crts/plugin-api';
import { findGadgets } from './gadgets';

const PIECE = 64 * 1024;
const SYSCALL_RET = [0x0f, 0x05, 0xc3];
const RESTORER = [0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05];

/** Text as a task has it in a mapping that starts at address 0, so that a plain file can stand for its memory. */
function gadgetsOf(
  sizeBytes: number,
  parts: readonly (readonly [at: number, bytes: readonly number[]])[],
  end = sizeBytes,
) {
  const text = Buffer.alloc(sizeBytes, 0x90);
  for (const [at, bytes] of parts) text.set(bytes, at);
  const directory = mkdtempSync(join(tmpdir(), 'crts-gadgets-'));
  writeFileSync(join(directory, 'text'), text);
  const mem = openSync(join(directory, 'text'), 'r');
  try {
    const vma = { start: 0n, end: BigInt(end), exec: true, write: false, inode: 1n, name: '/usr/lib/libc.so.6' };
    return findGadgets(mem, [vma as VmaFacts]);
  } finally {
    closeSync(mem);
    rmSync(directory, { recursive: true });
  }
}

test('both are found wherever they lie, also across the border of two pieces', () => {
  for (const at of [0, PIECE - 1, PIECE - 8, PIECE + 5, 3 * PIECE - 4, 4 * PIECE - 40]) {
    const found = gadgetsOf(4 * PIECE, [
      [at, RESTORER],
      [at + 20, SYSCALL_RET],
    ]);
    expect(found).toEqual({ restorer: BigInt(at), syscallRet: BigInt(at + 20) });
  }
});

test('the first of each counts, and what is missing is undefined', () => {
  expect(
    gadgetsOf(3 * PIECE, [
      [10, SYSCALL_RET],
      [2 * PIECE, SYSCALL_RET],
    ]),
  ).toEqual({ restorer: undefined, syscallRet: 10n });
  expect(gadgetsOf(100, [[91, RESTORER]])).toEqual({ restorer: 91n, syscallRet: undefined });
});

test('a mapping that ends behind its file is searched as far as it can be read', () => {
  expect(gadgetsOf(PIECE + 100, [[10, SYSCALL_RET]], 2 * PIECE)).toEqual({ restorer: undefined, syscallRet: 10n });
});
