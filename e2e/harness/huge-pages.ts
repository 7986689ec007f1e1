/** Huge TLB pages for a file of tests: as many more as it needs, given back when it is over. */
import { readFileSync, writeFileSync } from 'node:fs';

const DIRECTORY = '/sys/kernel/mm/hugepages';

function pool(kilobytes: number): string {
  return `${DIRECTORY}/hugepages-${kilobytes}kB/nr_hugepages`;
}

function size(kilobytes: number): number {
  return Number(readFileSync(pool(kilobytes), 'utf8'));
}

/** Relative, so that others may have theirs at the same time. Returns how many there are more than before. */
function add(kilobytes: number, count: number): number {
  const before = size(kilobytes);
  writeFileSync(pool(kilobytes), String(before + count));
  return size(kilobytes) - before;
}

/** Whether the machine has so many to give: the only way to know is to ask. */
export function canHave(kilobytes: number, count: number): boolean {
  try {
    const got = add(kilobytes, count);
    add(kilobytes, -got);
    return got === count;
  } catch {
    return false;
  }
}

/** For the tests of the block in which it is called. */
export function useHugePages(kilobytes: number, count: number): void {
  let got = 0;
  beforeAll(() => {
    got = add(kilobytes, count);
  });
  afterAll(() => {
    add(kilobytes, -got);
  });
}

/** While `action` runs there is no free huge TLB page. */
export async function withoutFreePages(kilobytes: number, action: () => Promise<void> | void): Promise<void> {
  const free = () => Number(readFileSync(`${DIRECTORY}/hugepages-${kilobytes}kB/free_hugepages`, 'utf8'));
  let got = 0;
  try {
    // Processes that have ended give theirs back a moment later.
    for (let tries = 0; tries < 5 && free() > 0; tries++) got += add(kilobytes, -free());
    await action();
  } finally {
    add(kilobytes, -got);
  }
}
