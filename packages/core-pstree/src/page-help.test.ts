import { type Helped, helpRuns } from './page-help';

/** Tasks with so many pieces each; those of the engine are counted, and a task answers when it has none left. */
function scene(
  pieces: readonly (number | undefined)[],
  cpus: number,
  options: { fails?: number; silent?: boolean } = {},
) {
  const left = pieces.map((count) => count ?? 0);
  const helped: string[] = [];
  const runs: Helped[] = pieces.map((count, index) => ({
    doorbell: index,
    transfer:
      count === undefined
        ? undefined
        : {
            get left() {
              return left[index]!;
            },
            get works() {
              return options.fails !== index || !helped.some((line) => line.startsWith(`${index}:`));
            },
            help: (threads, most) => {
              helped.push(`${index}: ${threads}`);
              left[index] = Math.max(0, left[index]! - threads * most);
            },
          },
  }));
  const waits: number[] = [];
  helpRuns(runs, cpus, (doorbells, milliseconds) => {
    waits.push(milliseconds);
    const answers = doorbells.map((doorbell) => left[doorbell] === 0);
    // Tasks work too while the engine waits.
    if (options.silent !== true) for (const doorbell of doorbells) left[doorbell] = Math.max(0, left[doorbell]! - 1);
    return answers;
  });
  return { helped, waits, left };
}

test('one task and two CPUs: the engine is the second', () => {
  expect(scene([20], 2).helped).toEqual(['0: 1', '0: 1', '0: 1']);
});

test('more CPUs, more threads, up to eight', () => {
  expect(scene([20], 4).helped).toEqual(['0: 3']);
  expect(scene([100], 64).helped).toEqual(['0: 8', '0: 8']);
});

test('as many tasks as CPUs have them to themselves, until one is ready', () => {
  const { helped, waits } = scene([3, 30], 2);
  expect(helped.every((line) => line === '1: 1')).toBe(true);
  expect(helped.length).toBeGreaterThan(0);
  expect(waits.slice(0, 4)).toEqual([1000, 1000, 1000, 1000]);
});

test('a task that does something else is one that runs', () => {
  expect(scene([undefined, 30], 1).helped).toEqual([]);
});

test('who has most left is helped first', () => {
  expect(scene([9, 90], 3).helped[0]).toBe('1: 1');
});

test('one whose memory cannot be written is left alone', () => {
  expect(scene([30], 2, { fails: 0 }).helped).toEqual(['0: 1']);
});

test('it does not wait for those that are silent', () => {
  expect(scene([5, 5, 5], 2, { silent: true })).toEqual({ helped: [], waits: [1000], left: [5, 5, 5] });
});

test('one CPU is the tasks’ own', () => {
  expect(scene([3], 1).helped).toEqual([]);
});
