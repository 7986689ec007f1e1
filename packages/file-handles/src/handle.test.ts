import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { handleEntry, handleOf, handleOfPath, parseFileHandle, sameHandle } from './handle';

test('a handle as fdinfo prints it (Linux 6.18)', () => {
  const line =
    'inotify wd:1 ino:2125c6 sdev:fe00000 mask:84000fff ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:c6252100350b1546 ';
  expect(parseFileHandle(line)).toEqual({ type: 1, bytes: Buffer.from('c6252100350b1546', 'hex') });
});

test.each(['inotify wd:1 ino:2 sdev:3 mask:4 ignored_mask:0 ', 'fhandle-bytes:8 fhandle-type:1 f_handle:c625'])(
  'no handle: %s',
  (line) => {
    expect(parseFileHandle(line)).toBeUndefined();
  },
);

test('the entry as CRIU writes it: sixteen words at least, little-endian', () => {
  const entry = handleEntry({ type: 1, bytes: Buffer.from('c6252100350b15460102', 'hex') });
  expect(entry.bytes).toBe(10);
  expect(entry.handle).toEqual([0x46150b35002125c6n, 0x0201n, ...Array(14).fill(0n)]);
});

test('what an entry holds comes back; none, and what cannot be a handle', () => {
  const handle = { type: 0x81, bytes: Buffer.from(Array.from({ length: 128 }, (_, index) => index)) };
  expect(handleOf(handleEntry(handle))).toEqual(handle);
  expect(handleOf(handleEntry(undefined))).toBeUndefined();
  expect(handleOf({ bytes: 129, type: 1, handle: Array(17).fill(0n) })).toBe('bad');
  expect(handleOf({ bytes: 9, type: 1, handle: [0n] })).toBe('bad');
});

test('names of one file have one handle, a symbolic link has its own', () => {
  const directory = mkdtempSync(join(tmpdir(), 'crts-handle-'));
  try {
    const file = join(directory, 'file');
    writeFileSync(file, '');
    symlinkSync('file', join(directory, 'link'));
    expect(sameHandle(handleOfPath(file), handleOfPath(`${directory}/./file`))).toBe(true);
    expect(sameHandle(handleOfPath(file), handleOfPath(join(directory, 'link')))).toBe(false);
    expect(handleOfPath(join(directory, 'none'))).toBeUndefined();
  } finally {
    rmSync(directory, { recursive: true });
  }
});
