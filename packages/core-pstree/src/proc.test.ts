import { readFileSync } from 'node:fs';
import { parseMaps, parseSmaps, parseStat, parseStatus } from './proc';

test('a comm may hold anything, parentheses and spaces included', () => {
  const { comm, fields } = parseStat(
    '12 (a b) (c) S 1 12 12 0 -1 4194304 1 2 3 4 5 6 7 8 20 7 1 0 99 1000 20 18446744073709551615 4096 8192 140000 0 0 0 0 0 0 0 0 0 17 1 0 3 0 0 0 16384 20480 24576 28672 32768 36864 40960 0',
  );
  expect(comm).toBe('a b) (c');
  expect(fields).toMatchObject({
    state: 'S',
    pgrp: '12',
    session: '12',
    nice: '7',
    startcode: '4096',
    endcode: '8192',
    processor: '1',
    policy: '3',
    start_data: '16384',
    env_end: '40960',
  });
});

test('status fields by name', () => {
  expect(parseStatus('Name:\tx\nUid:\t1\t2\t3\t4\nGroups:\t5 6 \n').get('Uid')).toBe('1\t2\t3\t4');
});

test('smaps: ranges, rights, names with spaces, deleted files, flags; vvar pages are one mapping', () => {
  const text = [
    '7f00000000-7f00002000 r-xp 00001000 fe:01 42                         /usr/lib/a b (deleted)',
    'Size: 8 kB',
    'ProtectionKey:         3',
    'VmFlags: rd ex mr mw me ',
    '7ffc00000000-7ffc00004000 r--p 00000000 00:00 0                      [vvar]',
    'VmFlags: rd mr ',
    '7ffc00004000-7ffc00006000 r--p 00000000 00:00 0                      [vvar_vclock]',
    'VmFlags: rd mr ',
    '7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                      [stack]',
    'VmFlags: rd wr gd ',
    '',
  ].join('\n');
  const vmas = parseSmaps(text);
  expect(vmas.map(({ name }) => name)).toEqual(['/usr/lib/a b', '[vvar]', '[stack]']);
  expect(vmas[0]).toMatchObject({
    start: 0x7f00000000n,
    end: 0x7f00002000n,
    read: true,
    write: false,
    exec: true,
    shared: false,
    offset: 0x1000n,
    major: 0xfe,
    minor: 1,
    inode: 42n,
    deleted: true,
    protectionKey: 3,
  });
  expect(vmas[1]!.protectionKey).toBeUndefined();
  expect(vmas[1]!.end).toBe(0x7ffc00006000n);
  expect(vmas[2]!.vmFlags.has('gd')).toBe(true);
});

test('maps tells of mappings what smaps does, without their flags', () => {
  const text = readFileSync('/proc/self/maps', 'utf8');
  const own = parseMaps(text);
  expect(own.length).toBeGreaterThan(10);
  expect(own.every(({ vmFlags }) => vmFlags.size === 0)).toBe(true);
  const detailed = text
    .split('\n')
    .filter((line) => line !== '')
    .flatMap((line) => [line, 'ProtectionKey: 0', 'VmFlags: rd wr']);
  expect(parseSmaps(detailed.join('\n')).map((vma) => ({ ...vma, vmFlags: new Set(), protectionKey: 0 }))).toEqual(
    own.map((vma) => ({ ...vma, protectionKey: 0 })),
  );
});
