import type { VmaFacts } from '@crts/plugin-api';
import { findScratch } from './scratch';

const NO_PAGEMAP = -1;
const stack = {
  start: 0x7ffc_0000_0000n,
  end: 0x7ffc_0002_1000n,
  write: true,
  name: '[stack]',
  vmFlags: new Set(['gd']),
};
const below = (start: bigint, end: bigint) => ({ start, end, write: true, name: '', vmFlags: new Set<string>() });
const find = (rsp: bigint, ...others: object[]) =>
  findScratch(rsp, [...others, stack] as unknown as VmaFacts[], NO_PAGEMAP, 0x4000n);

test('below the red zone of a stack with room', () => {
  expect(find(stack.end - 0x100n)).toBe((stack.end - 0x100n - 128n) & ~63n);
});

test('a stack at its deepest point grows', () => {
  expect(find(stack.start + 0x100n)).toBe((stack.start + 0x100n - 128n) & ~63n);
});

test('a stack that would come near another mapping does not', () => {
  const near = below(stack.start - 0x10_2000n, stack.start - 0x10_1000n);
  expect(() => find(stack.start + 0x100n, near)).toThrow(/PAGEMAP_SCAN/);
  const far = below(stack.start - 0x20_0000n, stack.start - 0x1f_0000n);
  expect(find(stack.start + 0x100n, far)).toBeDefined();
});
