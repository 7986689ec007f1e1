// Shared mappings, 64-bit offsets and PAGEMAP_SCAN on the real kernel.
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { addon } from './addon';
import { closeFd, preadFull, preallocate, pwriteFull } from './files';
import { mapShared, memfd, unmapShared } from './memory';
import { PAGE_IS, pagemapScan } from './pagemap-scan';
import { rawSyscall, syscall } from './syscall';

const PAGE = 4096;

test('two mappings of a memfd show the same bytes; an unmapped one cannot be touched', async () => {
  const fd = memfd('crts-memory-test', 2 * PAGE);
  const [one, two] = [mapShared(fd, 2 * PAGE), mapShared(fd, 2 * PAGE)];
  one.write('seen by both', PAGE);
  expect(two.toString('latin1', PAGE, PAGE + 12)).toBe('seen by both');
  closeFd(fd);
  unmapShared(one);
  unmapShared(two);
  expect([one.length, two.length]).toEqual([0, 0]);
  // The finalizer runs in a later turn of the event loop.
  for (let turn = 0; turn < 100 && maps('crts-memory-test') > 0; turn++) await new Promise(setImmediate);
  expect(maps('crts-memory-test')).toBe(0);
});

function maps(name: string): number {
  return readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes(name)).length;
}

test('a memfd of an impossible size leaves no descriptor', () => {
  const before = readdirSync('/proc/self/fd').length;
  expect(() => memfd('crts-memory-test', -1)).toThrow(expect.objectContaining({ errno: 'EINVAL' }));
  expect(readdirSync('/proc/self/fd')).toHaveLength(before);
});

test('offsets beyond 2^53 are exact', () => {
  const fd = memfd('crts-offset-test', PAGE);
  const offset = 2n ** 53n + 1n;
  expect(addon().syscall(8, fd, offset, 0)).toBe(offset);
  pwriteFull(fd, Buffer.from('far'), offset);
  const read = Buffer.alloc(3);
  preadFull(fd, read, offset);
  expect(read.toString()).toBe('far');
  preadFull(fd, read, offset - 1n);
  expect(read.toString('latin1')).toBe('\0fa');
  expect(() => preadFull(fd, read, offset + 1n)).toThrow(expect.objectContaining({ errno: 'ENODATA' }));
  closeFd(fd);
});

test('memory is read through /proc/self/mem by its full address', () => {
  const fd = openSync('/proc/self/mem', 'r');
  const buffer = Buffer.alloc(PAGE, 'x');
  const read = Buffer.alloc(PAGE);
  preadFull(fd, read, addon().addressOf(buffer));
  expect(read.equals(buffer)).toBe(true);
  // The vsyscall page lies above 2^63: the word arrives as it is, and ksys_pread64(), fs/read_write.c, refuses any
  // negative position. lseek(2) takes it, since mem_open(), fs/proc/base.c, sets FMODE_UNSIGNED_OFFSET.
  expect(rawSyscall('pread64', fd, read, 1, 0xffffffffff600000n)).toBe(-22);
  expect(rawSyscall('lseek', fd, 0xffffffffff600000n, 0)).toBe(Number(BigInt.asIntN(64, 0xffffffffff600000n)));
  closeSync(fd);
});

test('a reservation that fails names its errno', () => {
  const fd = memfd('crts-reserve-test', 0);
  preallocate(fd, 3n * BigInt(PAGE));
  expect(() => preallocate(-1, 1n)).toThrow(expect.objectContaining({ errno: 'EBADF' }));
  closeFd(fd);
  const pipe = new Int32Array(2);
  syscall('pipe2', pipe, 0);
  expect(() => preallocate(pipe[1]!, 1n)).toThrow(expect.objectContaining({ errno: 'ESPIPE' }));
  for (const end of pipe) closeFd(end);
});

test('words that C cannot hold are refused, not rounded', () => {
  for (const word of [2 ** 53, 0.5, Number.NaN, 2n ** 64n])
    expect(() => rawSyscall('close', word)).toThrow(/safe integer/);
  expect(rawSyscall('close', 2n ** 64n - 1n)).toBe(-9);
});

describe('pagemapScan', () => {
  const size = 64 * PAGE;
  const pagemap = openSync('/proc/self/pagemap', 'r');
  const start = BigInt(syscall('mmap', null, size, 3, 0x22, -1, 0));
  const end = start + BigInt(size);
  const page = (index: number) => start + BigInt(index * PAGE);
  const present = { inverted: 0n, required: PAGE_IS.present, anyOf: 0n, report: PAGE_IS.present };
  afterAll(() => {
    syscall('munmap', start, size);
    closeSync(pagemap);
  });

  test('finds touched pages only, however small the vector', () => {
    expect(pagemapScan(pagemap, start, end, present)).toEqual([]);
    // Filled by the kernel: pread into the mapping touches pages 1, 2, 5 and every other one from 10 on.
    const zero = openSync('/dev/zero', 'r');
    for (const index of [1, 2, 5, 10, 12, 14, 16]) syscall('read', zero, page(index), 1);
    closeSync(zero);
    const expected = [
      [1, 3],
      [5, 6],
      [10, 11],
      [12, 13],
      [14, 15],
      [16, 17],
    ].map(([from, to]) => ({
      start: page(from!),
      end: page(to!),
      categories: PAGE_IS.present,
    }));
    expect(pagemapScan(pagemap, start, end, present)).toEqual(expected);
    expect(pagemapScan(pagemap, start, end, present, new BigUint64Array(3))).toEqual(expected);
  });

  test('a range that is no range of pages is an error that shows it', () => {
    expect(() => pagemapScan(pagemap, start + 1n, end, present)).toThrow(
      expect.objectContaining({ errno: 'EINVAL', call: expect.stringContaining(`0x${(start + 1n).toString(16)}`) }),
    );
  });
});
