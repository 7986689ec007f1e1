/** Random numbers from 0 up to 1 by a seed that is printed; CRTS_SEED repeats a run. */
export function seeded(): () => number {
  const seed = Number(process.env.CRTS_SEED ?? 20261126);
  process.stdout.write(`CRTS_SEED=${seed} (${expect.getState().currentTestName})\n`);
  let state = seed | 0;
  // mulberry32
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
