import { PAGE_IS } from '@crts/native-syscalls';
import type { PageArea } from '@crts/plugin-api';
import { collectPages, type Scan } from './collect';

const area = (lazy: boolean): PageArea => ({
  start: 0x10000n,
  end: 0x20000n,
  pages: 'private',
  readable: true,
  lazy,
  tracked: true,
});

const scan: Scan = () => [
  { start: 0x10000n, end: 0x11000n, categories: PAGE_IS.present },
  { start: 0x11000n, end: 0x14000n, categories: 0n },
  { start: 0x14000n, end: 0x15000n, categories: PAGE_IS.written },
];

const spans = (found: ReturnType<typeof collectPages>) =>
  found.stretches.map(({ start, end, unchanged }) => `${start.toString(16)}-${end.toString(16)} ${unchanged}`);

describe('tracked pages that are neither present nor written', () => {
  test('anonymous: swapped since before the parent set', () => {
    expect(spans(collectPages([area(true)], scan, false, () => true))).toEqual([
      '10000-14000 true',
      '14000-15000 false',
    ]);
  });

  test('of a file: only a mark where the program dropped the page, or swapped, and then stored again', () => {
    const found = collectPages([area(false)], scan, false, (address) => address === 0x12000n);
    expect(spans(found)).toEqual(['10000-11000 true', '11000-12000 false', '13000-15000 false']);
  });
});
