import { mayWait, vforkWait } from './vfork';

test.each([
  [
    '58 0x557b83e09162 0x7ffeb55774e8 0x7ffeb55774f8 0x7fba71fb9850 0x0 0x7fba7219f6d0 0x7ffeb55773d0 0x7fba7207a3b8',
    true,
  ],
  ['56 0x4111 0x7ffeb55774e8 0x0 0x0 0x0 0x0 0x7ffeb55773d0 0x7fba7207a3b8', true],
  ['56 0x111 0x7ffeb55774e8 0x0 0x0 0x0 0x0 0x7ffeb55773d0 0x7fba7207a3b8', false],
  ['435 0x7ffeb55774e8 0x58 0x0 0x0 0x0 0x0 0x7ffeb55773d0 0x7fba7207a3b8', true],
  ['0 0x3 0x557b83e09162 0x1000 0x0 0x0 0x0 0x7ffeb55773d0 0x7fba7207a3b8', false],
  ['running\n', false],
])('%s', (text, expected) => {
  expect(mayWait(text)).toBe(expected);
});

test('a thread that waits for nothing of that kind, or is gone', () => {
  expect(vforkWait(process.pid)).toBeUndefined();
  expect(vforkWait(4_194_305)).toBeUndefined();
});
