import { cutAtMappings, LazyRanges } from './ranges';

const range = (start: number, end: number, from = start) => ({
  start: BigInt(start),
  end: BigInt(end),
  from: BigInt(from),
});
const text = (ranges: LazyRanges) =>
  ranges
    .all()
    .map(({ start, end, from }) => `${start}-${end}<${from}`)
    .join(' ');

test('what is missing at an address', () => {
  const ranges = new LazyRanges([range(20, 30), range(0, 10, 100)]);
  expect(ranges.at(4n, 3n)).toEqual(range(4, 7, 104));
  expect(ranges.at(4n, 30n)).toEqual(range(4, 10, 104));
  expect(ranges.at(10n, 5n)).toBeUndefined();
  expect(ranges.at(30n, 5n)).toBeUndefined();
  expect(ranges.bytes).toBe(20n);
});

test('parts come, in any order', () => {
  const ranges = new LazyRanges([range(0, 10), range(20, 30), range(30, 40)]);
  ranges.drop(3n, 5n);
  expect(text(ranges)).toBe('0-3<0 5-10<5 20-30<20 30-40<30');
  ranges.drop(8n, 35n);
  expect(text(ranges)).toBe('0-3<0 5-8<5 35-40<35');
  ranges.drop(0n, 100n);
  expect(ranges.isEmpty).toBe(true);
});

test('mappings are moved: the contents are where they were at the dump', () => {
  const ranges = new LazyRanges([range(0, 10), range(20, 30), range(50, 60)]);
  ranges.move(5n, 105n, 20n);
  expect(text(ranges)).toBe('0-5<0 25-30<25 50-60<50 105-110<5 120-125<20');
  ranges.move(105n, 45n, 20n);
  expect(text(ranges)).toBe('0-5<0 25-30<25 45-50<5 60-65<20');
});

test('a copy is its own', () => {
  const ranges = new LazyRanges([range(0, 10)]);
  const copy = ranges.copy();
  ranges.drop(0n, 10n);
  expect(text(copy)).toBe('0-10<0');
});

test('stretches are cut where mappings end, and left out where none is', () => {
  const mappings = [range(0, 10), range(10, 20), range(30, 40)];
  expect(cutAtMappings([range(5, 15), range(18, 35), range(38, 50)], mappings)).toEqual([
    range(5, 10),
    range(10, 15),
    range(18, 20),
    range(30, 35),
    range(38, 40),
  ]);
});

// A fixed seed: what a random walk leaves is what a map of single units leaves.
test('a thousand steps beside a simple model', () => {
  let seed = 12345;
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed % below;
  };
  const ranges = new LazyRanges([range(0, 64)]);
  const model = new Map(Array.from({ length: 64 }, (_, unit) => [unit, unit]));
  for (let step = 0; step < 1000; step++) {
    const [start, length, to] = [random(128), random(9) + 1, random(128)];
    if (random(4) === 0) {
      ranges.drop(BigInt(start), BigInt(start + length));
      for (let unit = start; unit < start + length; unit++) model.delete(unit);
      continue;
    }
    // mremap(2) knows no overlap of old and new.
    if (Math.abs(start - to) < length) continue;
    ranges.move(BigInt(start), BigInt(to), BigInt(length));
    const moved = Array.from({ length }, (_, unit) => model.get(start + unit));
    for (let unit = 0; unit < length; unit++) {
      model.delete(start + unit);
      model.delete(to + unit);
      const from = moved[unit];
      if (from !== undefined) model.set(to + unit, from);
    }
  }
  const left = ranges
    .all()
    .flatMap(({ start, end, from }) =>
      Array.from({ length: Number(end - start) }, (_, unit) => [Number(start) + unit, Number(from) + unit]),
    );
  expect(left).toEqual([...model].sort(([a], [b]) => a - b));
});

test('tens of thousands of ranges go from the front, and from elsewhere, and none is lost', () => {
  const count = 20_000;
  const ranges = new LazyRanges(
    Array.from({ length: count }, (_, index) => {
      const start = BigInt(index) * 0x2000n;
      return { start, end: start + 0x1000n, from: start };
    }),
  );
  const seen: bigint[] = [];
  for (let step = 0; !ranges.isEmpty; step++) {
    const { start, end } = ranges.first!;
    seen.push(start);
    ranges.drop(start, end);
    if (step % 1000 === 999) {
      // Somebody waits for a page in the middle.
      const far = start + 0x2000n * 500n;
      if (ranges.at(far, 0x1000n) === undefined) continue;
      seen.push(far);
      ranges.drop(far, far + 0x1000n);
    }
  }
  expect(new Set(seen).size).toBe(count);
  expect([ranges.bytes, ranges.first]).toEqual([0n, undefined]);
});
