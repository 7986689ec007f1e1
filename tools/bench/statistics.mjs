// Order statistics, and a random order that a printed seed repeats.

/** The value below which the share `q` of the numbers lies, interpolated. */
export function quantile(numbers, q) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const place = (sorted.length - 1) * q;
  const low = sorted[Math.floor(place)];
  return low + (sorted[Math.ceil(place)] - low) * (place - Math.floor(place));
}

export const median = (numbers) => quantile(numbers, 0.5);

/** Numbers from 0 up to 1 by seed (mulberry32). */
export function random(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A copy in random order (Fisher-Yates). */
export function shuffled(items, next) {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** The 95 % interval of the median of `numbers`, by 2000 resamples. */
export function medianInterval(numbers, next) {
  const medians = Array.from({ length: 2000 }, () =>
    median(numbers.map(() => numbers[Math.floor(next() * numbers.length)])),
  );
  return [quantile(medians, 0.025), quantile(medians, 0.975)];
}
