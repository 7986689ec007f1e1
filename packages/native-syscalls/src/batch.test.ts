import { closeSync, constants, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SyscallBatch } from './batch';
import { openAll, readMappings, readSmallFiles } from './files';
import { addressOf } from './memory';

const EBADF = 9;
const ENOENT = 2;
const EEXIST = 17;

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

test('calls in another thread are made when they have been waited for', () => {
  const batch = new SyscallBatch(2);
  const clock = Buffer.alloc(16);
  const bad = batch.add('close', -1);
  const time = batch.add('clock_gettime', 1, Number(addressOf(clock)));
  batch.start(clock)();
  expect([batch.result(bad), batch.result(time)]).toEqual([-EBADF, 0]);
  expect(clock.readBigInt64LE(0)).toBeGreaterThan(0n);
});

test('many files are opened meanwhile', () => {
  const directory = mkdtempSync(join(tmpdir(), 'crts-batch-'));
  const fd = openSync(directory, 'r');
  try {
    const names = Array.from({ length: 200 }, (_, index) => `file-${index}`);
    writeFileSync(join(directory, names[7]!), '');
    const { O_WRONLY, O_CREAT, O_EXCL } = constants;
    const opened = openAll(fd, names, O_WRONLY | O_CREAT | O_EXCL, 0o600);
    if (typeof opened !== 'function') throw new Error('they were opened at once');
    const fds = opened();
    expect(fds[7]).toBe(-EEXIST);
    expect(fds.filter((one) => one >= 0).length).toBe(199);
    expect(readdirSync(directory).length).toBe(200);
    for (const one of fds) if (one >= 0) closeSync(one);
  } finally {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  }
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

test('of smaps the mappings are read, with their keys and flags', () => {
  const lines = readMappings('/proc/self/smaps').toString('latin1').trimEnd().split('\n');
  const heads = lines.filter((line) => /^[0-9a-f]+-[0-9a-f]+ [r-]/.test(line));
  expect(heads.length).toBeGreaterThan(10);
  expect(lines.filter((line) => line.startsWith('VmFlags:'))).toHaveLength(heads.length);
  expect(lines.filter((line) => /^[A-Z]/.test(line) && !/^(VmFlags|ProtectionKey):/.test(line))).toEqual([]);
});

test('files of a directory are opened together; one that is there already is told', () => {
  const directory = mkdtempSync(join(tmpdir(), 'crts-open-'));
  writeFileSync(join(directory, 'taken'), '');
  const fd = openSync(directory, 'r');
  const { O_WRONLY, O_CREAT, O_EXCL } = constants;
  try {
    const fds = openAll(fd, ['one', 'taken', 'other'], O_WRONLY | O_CREAT | O_EXCL, 0o600);
    const [one, taken, other] = typeof fds === 'function' ? fds() : fds;
    expect(taken).toBe(-EEXIST);
    for (const opened of [one!, other!]) closeSync(opened);
    expect(readdirSync(directory).sort()).toEqual(['one', 'other', 'taken']);
  } finally {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  }
});
