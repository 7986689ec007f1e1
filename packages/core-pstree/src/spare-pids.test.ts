import { SparePids } from './spare-pids';

test('pids from the top that nobody has and the images do not ask for', () => {
  const spare = new SparePids(new Set([9, 7]), 11, (pid) => pid !== 8);
  expect([spare.next(), spare.next(), spare.next()]).toEqual([10, 6, 5]);
});

test('the choice is left to the kernel where none is free', () => {
  expect(new SparePids(new Set(), 4, () => false).next()).toBe(0);
});

test('pids that are in use are seen', () => {
  const spare = new SparePids(new Set(), process.pid + 1);
  expect(spare.next()).toBeLessThan(process.pid);
});
