import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SyscallBatch } from './batch';
import { readSmallFiles } from './files';
import { addressOf } from './memory';

const EBADF = 9;
const ENOENT = 2;

test('all calls of a batch are made, whatever those before answered', () => {
  const batch = new SyscallBatch(3);
  const clock = Buffer.alloc(16);
  const bad = batch.add('close', -1);
  const own = batch.add('getppid');
  const time = batch.add('clock_gettime', 1, Number(addressOf(clock)));
  batch.run();
  expect([batch.result(bad), batch.result(own), batch.result(time)]).toEqual([-EBADF, process.ppid, 0]);
  expect(clock.readBigInt64LE(0)).toBeGreaterThan(0n);
});

test('arguments and answers have 64 bits', () => {
  const batch = new SyscallBatch(2);
  const low = batch.add('mmap', 0, 4096, 3, 0x22);
  batch.run();
  const address = batch.result(low);
  expect(address).toBeGreaterThan(2 ** 32);
  const away = new SyscallBatch(1);
  away.add('munmap', address, 4096);
  away.run();
  expect(away.result(0)).toBe(0);
});

test('files are read whole, those too that need more room; of others comes the errno', () => {
  const directory = mkdtempSync(join(tmpdir(), 'crts-batch-'));
  const large = 'x'.repeat(3_000_000);
  writeFileSync(join(directory, 'a'), 'first');
  writeFileSync(join(directory, 'large'), large);
  writeFileSync(join(directory, 'empty'), '');
  const found: (string | number)[] = [];
  readSmallFiles(
    ['a', 'none', 'large', 'empty', 'a'].map((name) => join(directory, name)),
    (index, content) => {
      found[index] = typeof content === 'number' ? content : content.toString();
    },
  );
  expect(found).toEqual(['first', -ENOENT, large, '', 'first']);
  rmSync(directory, { recursive: true });
});
