import { rememberLast } from './remember-last';

test('makes it anew only where a key differs from the last one', () => {
  const make = jest.fn((entry: object, nice: number) => ({ entry, nice }));
  const last = rememberLast(make);
  const entry = {};
  expect(last(entry, 1)).toBe(last(entry, 1));
  expect(last(entry, 2)).toEqual({ entry, nice: 2 });
  expect(last({}, 2).entry).not.toBe(entry);
  expect(make).toHaveBeenCalledTimes(3);
});
