import fc from 'fast-check';
import { type Place, StoredFrames, sharedFrame } from './frames';
import { type ChosenStretch, type ShareAccess, share } from './share';

const PAGE = 4096;
const BASE = 0x10000n;

describe('frames', () => {
  test('find and add are those of a map whose first entry counts', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 5000 }), fc.nat(2 ** 20 - 1), fc.nat(2 ** 32 - 1)), {
          maxLength: 3000,
        }),
        (added) => {
          const frames = new StoredFrames();
          const known = new Map<number, Place>();
          for (const [frame, pagesId, page] of added) {
            frames.add(frame, { pagesId, page });
            if (!known.has(frame)) known.set(frame, { pagesId, page });
          }
          for (const frame of [...known.keys(), 5001, 2 ** 40]) expect(frames.find(frame)).toEqual(known.get(frame));
        },
      ),
      { seed: 1, numRuns: 30 },
    );
  });

  test('only pages that are present, and that somebody else may have, have a frame to share', () => {
    const high = (present: boolean, exclusive: boolean, rest = 0) =>
      ((present ? 2 ** 31 : 0) + (exclusive ? 2 ** 24 : 0) + rest) >>> 0;
    expect(sharedFrame(7, high(true, false))).toBe(7);
    expect(sharedFrame(7, high(true, false, 1))).toBe(2 ** 32 + 7);
    expect(sharedFrame(7, high(true, true))).toBe(0);
    expect(sharedFrame(7, high(false, false))).toBe(0);
  });
});

interface TestTask {
  readonly pagesId: number;
  /** Content and frame of each page; frame 0: exclusive. */
  readonly pages: readonly (readonly [content: number, frame: number])[];
}

/** Dumps tasks one after the other, and gives back what each page of each would be restored as. */
function dump(tasks: readonly TestTask[]): { contents: number[][]; stored: number } {
  const frames = new StoredFrames();
  const images = new Map<number, number[]>();
  const contents: number[][] = [];
  const fill = (values: readonly number[]) => Buffer.concat(values.map((value) => Buffer.alloc(PAGE, value)));
  for (const { pagesId, pages } of tasks) {
    const indexOf = (addr: bigint) => Number((addr - BASE) / BigInt(PAGE));
    const access: ShareAccess = {
      pagemap: (addr, count) =>
        Uint32Array.from(
          pages
            .slice(indexOf(addr), indexOf(addr) + count)
            .flatMap(([, frame]) => [frame, frame === 0 ? 0x8100_0000 : 0x8000_0000]),
        ),
      memory: (addr, count) => fill(pages.slice(indexOf(addr), indexOf(addr) + count).map(([content]) => content)),
      stored: (place, count) => fill(images.get(place.pagesId)!.slice(place.page, place.page + count)),
    };
    const whole: ChosenStretch = {
      start: BASE,
      end: BASE + BigInt(pages.length * PAGE),
      readable: true,
      lazy: true,
      unchanged: false,
      inParent: false,
    };
    const { entries, written } = share(pagesId, [whole], frames, access);
    const image: number[] = [];
    const found: number[] = [];
    let at = BASE;
    for (const { start, end, sharedWith } of entries) {
      expect(start).toBe(at);
      at = end;
      for (let index = indexOf(start); index < indexOf(end); index++) {
        if (sharedWith === undefined) image.push(pages[index]![0]);
        found.push(
          sharedWith === undefined
            ? image.at(-1)!
            : images.get(sharedWith.pagesId)![sharedWith.page + index - indexOf(start)]!,
        );
      }
    }
    expect(at).toBe(whole.end);
    images.set(pagesId, image);
    contents.push(found);
    written();
  }
  return { contents, stored: [...images.values()].flat().length };
}

test('what a child has not changed is stored with its parent', () => {
  const parent = {
    pagesId: 1,
    pages: [
      [1, 11],
      [2, 12],
      [3, 13],
      [4, 0],
    ],
  } as const;
  const child = {
    pagesId: 2,
    pages: [
      [1, 11],
      [9, 0],
      [3, 13],
      [4, 0],
    ],
  } as const;
  const { contents, stored } = dump([parent, child]);
  expect(contents).toEqual([
    [1, 2, 3, 4],
    [1, 9, 3, 4],
  ]);
  expect(stored).toBe(6);
});

test('a frame that has changed hands is not believed', () => {
  const { contents, stored } = dump([
    {
      pagesId: 1,
      pages: [
        [1, 11],
        [2, 12],
        [3, 13],
      ],
    },
    {
      pagesId: 2,
      pages: [
        [1, 11],
        [7, 12],
        [3, 13],
      ],
    },
  ]);
  expect(contents[1]).toEqual([1, 7, 3]);
  expect(stored).toBe(4);
});

test('whatever the frames say, every page comes back as it was', () => {
  const page = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 6 }));
  fc.assert(
    fc.property(fc.array(fc.array(page, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 4 }), (all) => {
      const { contents } = dump(all.map((pages, index) => ({ pagesId: index + 1, pages })));
      expect(contents).toEqual(all.map((pages) => pages.map(([content]) => content)));
    }),
    { seed: 2, numRuns: 200 },
  );
});

test('what is left in the parent set stays there', () => {
  const entry = { start: BASE, end: BASE + 4096n, readable: true, lazy: true, unchanged: true, inParent: true };
  const none = () => {
    throw new Error('nobody is to look');
  };
  expect(share(1, [entry], new StoredFrames(), { pagemap: none, memory: none, stored: none }).entries).toEqual([entry]);
});
