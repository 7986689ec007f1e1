import { fillWatch } from './fill-watch';

test('memory that comes is told once; a process that is gone has none', () => {
  let told = 0n;
  const add = (bytes: bigint) => {
    told += bytes;
  };
  const progress = { expect: () => undefined, end: () => undefined, add };
  const look = fillWatch(progress, () => [process.pid, 2 ** 22 + 1]);
  look();
  const before = told;
  expect(before).toBeGreaterThan(0n);
  const memory = Buffer.alloc(64 * 1024 * 1024, 1);
  look();
  expect(told - before).toBeGreaterThan(48n * 1024n * 1024n);
  expect(memory[0]).toBe(1);
  const after = told;
  look();
  expect(told - after).toBeLessThan(16n * 1024n * 1024n);
});
