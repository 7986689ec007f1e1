import { ARENA_SIZE } from '@crts/native-syscalls';
import type { VmaFacts } from '@crts/plugin-api';
import { findAbandoned, outside } from './abandoned';

const START = 0x2000_0000_0000n;
const ARENA = START + 4096n;
const END = ARENA + BigInt(ARENA_SIZE);

function vma(start: bigint, end: bigint, more: Partial<VmaFacts>): VmaFacts {
  const none = {
    read: true,
    write: false,
    exec: false,
    shared: false,
    offset: 0n,
    inode: 0n,
    name: '',
    deleted: false,
  };
  return { ...none, start, end, major: 0, minor: 0, vmFlags: new Set(), ...more } as VmaFacts;
}

const CODE = vma(START, ARENA, { exec: true });
const MEMFD = vma(ARENA, END, { write: true, shared: true, inode: 7n, name: '/memfd:crts', deleted: true });
const agent = () => Buffer.from('31ed4883e4f0', 'hex');
const OWN = vma(0x40_0000n, 0x40_1000n, { exec: true, inode: 9n, name: '/bin/true' });

test('code and arena of an agent that nobody is in', () => {
  const areas = findAbandoned([OWN, CODE, MEMFD], [0x40_0123n], agent);
  expect(areas).toEqual([{ start: START, end: END }]);
  expect(outside([OWN, CODE, MEMFD], areas)).toEqual([OWN]);
});

test.each([
  ['a thread is in it', [CODE, MEMFD], [START + 0x84n]],
  ['a memfd of the program with that name', [vma(START, ARENA, {}), MEMFD], []],
  ['a memfd that is no arena', [CODE, { ...MEMFD, end: END - 4096n }], []],
  ['a memfd that is apart', [vma(START - 4096n, START, { exec: true }), MEMFD], []],
  ['an arena alone', [MEMFD], []],
])('%s: it stays', (_, vmas, ips) => {
  expect(findAbandoned(vmas as VmaFacts[], ips as bigint[], agent)).toEqual([]);
  expect(outside(vmas as VmaFacts[], [])).toHaveLength(vmas.length);
});

test('other code before such a memfd', () => {
  expect(findAbandoned([CODE, MEMFD], [], () => Buffer.from('31ed49c7c7ff', 'hex'))).toEqual([]);
});
