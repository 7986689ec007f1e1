import { badRange, COMMAND, decodeOwner, decodeRecord, encodeOwner, encodeRecord, entryFlags, PAGE } from './codec';

// Recorded from CRIU 4.2: dump --page-server of `sleep`, pid 2733000.
const RECORDED = {
  open: '04000000000000000000000000000000000000000000000001c8b32900000000',
  pages: '0600060000000000040000000000000000a02e1fbe55000001c8b32900000000',
};

test('records as CRIU sends them', () => {
  const dst = encodeOwner('pagemap', 2733000);
  const open = { command: COMMAND.open2, flags: 0, pages: 0n, vaddr: 0n, dst };
  const pages = {
    command: COMMAND.addFlags,
    flags: PAGE.lazy | PAGE.present,
    pages: 4n,
    vaddr: 0x55be1f2ea000n,
    dst,
  };
  expect(decodeRecord(Buffer.from(RECORDED.open, 'hex'))).toEqual(open);
  expect(decodeRecord(Buffer.from(RECORDED.pages, 'hex'))).toEqual(pages);
  expect(encodeRecord(open).toString('hex')).toBe(RECORDED.open);
  expect(encodeRecord(pages).toString('hex')).toBe(RECORDED.pages);
  const padded = Buffer.from(RECORDED.pages, 'hex');
  padded.writeUInt32LE(0xdeadbeef, 4);
  expect(decodeRecord(padded)).toEqual(pages);
});

test('owners, with the numbers of older versions of CRIU', () => {
  expect(decodeOwner(encodeOwner('pagemap', 7))).toEqual({ owner: 'pagemap', id: 7 });
  expect(decodeOwner(encodeOwner('pagemap-shmem', 0xffff_ffff))).toEqual({ owner: 'pagemap-shmem', id: 0xffff_ffff });
  expect(decodeOwner((7n << 8n) | 11n)).toEqual({ owner: 'pagemap', id: 7 });
  expect(decodeOwner((7n << 8n) | 34n)).toEqual({ owner: 'pagemap-shmem', id: 7 });
  expect(decodeOwner((7n << 8n) | 3n)).toBeUndefined();
  expect(decodeOwner((1n << 40n) | 1n)).toBeUndefined();
});

test('ranges that no address space has', () => {
  expect(badRange({ vaddr: 0x1000n, pages: 1n })).toBeUndefined();
  expect(badRange({ vaddr: 0x7fff_ffff_e000n, pages: 1n })).toBeUndefined();
  expect(badRange({ vaddr: 0x7fff_ffff_e000n, pages: 2n })).toContain('do not fit');
  expect(badRange({ vaddr: 0x7fff_ffff_f000n, pages: 1n })).toContain('do not fit');
  expect(badRange({ vaddr: 0x1000n, pages: 0n })).toContain('do not fit');
  expect(badRange({ vaddr: 0x1000n, pages: 2n ** 64n - 1n })).toContain('do not fit');
  expect(badRange({ vaddr: 0x1001n, pages: 1n })).toContain('aligned');
});

test('flags of the older commands', () => {
  const record = { flags: PAGE.lazy, pages: 1n, vaddr: 0n, dst: 1n };
  expect(entryFlags({ ...record, command: COMMAND.add })).toBe(PAGE.present);
  expect(entryFlags({ ...record, command: COMMAND.hole })).toBe(PAGE.parent);
  expect(entryFlags({ ...record, command: COMMAND.addFlags })).toBe(PAGE.lazy);
});
