import { eventsOf, parseRing, possibleCpus, requestsOf, stepsTo } from './ring';

function header(...words: number[]): Buffer {
  const bytes = Buffer.alloc(32);
  [7, 127, 3, 5, 0xa10a10a1, 1, 0, 32].forEach((word, index) => {
    bytes.writeUInt32LE(words[index] ?? word, 4 * index);
  });
  return bytes;
}

test('the header of a ring', () => {
  expect(parseRing(header(), 4096)).toEqual({ nr: 127, head: 3, tail: 5 });
});

test.each([
  ['another size', header(), 8192],
  ['a head behind the end', header(7, 127, 127), 4096],
  ['a tail behind the end', header(7, 127, 3, 200), 4096],
  ['another magic', header(7, 127, 3, 5, 9), 4096],
  ['another header', header(7, 127, 3, 5, 0xa10a10a1, 1, 0, 64), 4096],
  ['features', header(7, 127, 3, 5, 0xa10a10a1, 1, 1), 4096],
])('no ring: %s', (_what, bytes, length) => {
  expect(typeof parseRing(bytes, length)).toBe('string');
});

test.each([1, 2, 64])('what was asked for makes the same ring again, with %d CPUs', (cpus) => {
  for (const asked of [1, 64, 128, 1000, 65_536]) {
    const events = eventsOf(asked, cpus);
    expect(eventsOf(requestsOf(events), cpus)).toBe(events);
  }
});

test('more CPUs make a larger ring', () => {
  expect(eventsOf(requestsOf(127), 64)).toBeGreaterThan(127);
  expect(possibleCpus()).toBeGreaterThan(0);
});

test('requests to where the ring was: those that were read in portions, then those that wait', () => {
  expect(stepsTo({ nr: 127, head: 0, tail: 0 })).toEqual({ read: [], left: 0 });
  expect(stepsTo({ nr: 127, head: 40, tail: 41 })).toEqual({ read: [31, 9], left: 1 });
  expect(stepsTo({ nr: 127, head: 33, tail: 2 })).toEqual({ read: [31, 2], left: 96 });
});
