import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for a condition by looking again and again; what it waits for is named when it never comes. */
export async function until(what: string, condition: () => boolean, seconds = 20): Promise<void> {
  const end = process.hrtime.bigint() + BigInt(seconds) * 1_000_000_000n;
  while (!condition()) {
    if (process.hrtime.bigint() > end) throw new Error(`waited in vain for ${what}`);
    await sleep(5);
  }
}
