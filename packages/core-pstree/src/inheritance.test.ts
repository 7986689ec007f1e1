import type { PageSource, PrivateMapping } from '@crts/plugin-api';
import type { ForkOp } from './forks/plan';
import { addClearing, planInheritance } from './inheritance';
import { PlanBuilder, planText } from './plan';
import { PageFiller } from './private-memory';

const AGENT = { start: 0x100_0000n, end: 0x110_0000n };
const SIZE = 0x4000n;

interface Memory {
  readonly start: bigint;
  readonly size?: bigint;
  readonly source?: string;
  readonly prot?: number;
  readonly isOfProgram?: boolean;
  /** Pages in the images: from, to. */
  readonly pages?: readonly [bigint, bigint];
  /** What stands in the page at this address. */
  readonly content?: (addr: bigint) => number;
}

/** A task with these mappings. Files of pages are engine descriptors with the number of the task. */
function task(pid: number, memory: readonly Memory[], owner = pid) {
  const stored = memory.flatMap(({ start, pages }) =>
    pages === undefined ? [] : [{ addr: start + pages[0], lengthBytes: pages[1] - pages[0], fileOffset: 0n, file: 0 }],
  );
  const source: PageSource = {
    files: [pid],
    names: ['pages'],
    runs: (from, to) =>
      stored.flatMap((run) => {
        const start = run.addr > from ? run.addr : from;
        const end = run.addr + run.lengthBytes < to ? run.addr + run.lengthBytes : to;
        return start < end
          ? [{ ...run, addr: start, lengthBytes: end - start, fileOffset: run.fileOffset + start - run.addr }]
          : [];
      }),
    read: (addr) => {
      const found = memory.find(({ start, size = SIZE }) => addr >= start && addr < start + size);
      return Buffer.alloc(4096, found?.content?.(addr) ?? 1);
    },
    lazy: [],
    lazyWithParents: [],
  };
  const plan = new PlanBuilder(pid, false, undefined, new PageFiller(source, 60));
  plan.finalThread({ prstatus: Buffer.alloc(0), xstate: Buffer.alloc(0), sigmask: 0n } as never);
  addClearing(plan, 'memory', AGENT);
  for (const one of memory) {
    const end = one.start + (one.size ?? SIZE);
    const mapping: PrivateMapping = {
      start: one.start,
      end,
      source: 'source' in one ? one.source : 'anonymous',
      isOfProgram: one.isOfProgram ?? false,
      hasPages: one.pages !== undefined,
      prot: one.prot ?? 3,
      map: (program) => program.call('mmap', [one.start, end - one.start]),
      finish: (program) => program.call('mlock', [one.start, end - one.start]),
    };
    plan.privateMapping({ plugin: 'test', what: 'map', needs: ['mm:cleared'], provides: ['vmas'] }, mapping);
  }
  return { pid, plan, memory: owner };
}

const fork = (actor: number, child: number): ForkOp => ({
  op: 'fork',
  actor,
  child,
  cloneParent: false,
  helper: false,
  shares: [],
});

function plans(tasks: ReturnType<typeof task>[], ...rounds: ForkOp[][]): string[] {
  planInheritance(tasks, rounds, AGENT);
  return tasks.map(({ plan, pid }) => planText(plan.compile(true), pid, false).join('\n'));
}

const made = (text: string) => [...text.matchAll(/mmap\((0x\w+)/g)].map(([, start]) => Number(start));

test('a task that forks nobody makes all in stage memory', () => {
  const [plan] = plans([task(1, [{ start: 0x10000n, pages: [0n, 0x1000n] }])]);
  expect(plan).toMatchInlineSnapshot(`
"task 1
  [memory] clear the address space
    $0 munmap(0, 0x1000000)
    $1 munmap(0x1100000, 0x7ffffeeff000)
  [memory] map
    $2 mmap(0x10000, 0x4000)
  [memory] read the pages
    $3 receive_fd(engine fd 1)
    $4 move_fd($3, 60, 1)
    $5 pages_from_file(60, &<000001000000000000100000000000000000000000000000>, 1)
  [memory] map
    $6 mlock(0x10000, 0x4000)
  [memory] close the pages image
    $7 close(60)"
`);
});

test('a parent makes what its child keeps; the child compares, drops and reads', () => {
  const [parent, child] = plans(
    [
      task(1, [
        { start: 0x10000n, pages: [0n, 0x3000n] },
        { start: 0x20000n, source: 'other' },
      ]),
      task(2, [
        { start: 0x10000n, pages: [0x1000n, 0x4000n] },
        { start: 0x30000n, source: 'other' },
      ]),
    ],
    [fork(1, 2)],
  );
  expect(parent).toMatchInlineSnapshot(`
"task 1
  [inheritance] clear the address space
    $0 munmap(0, 0x1000000)
    $1 munmap(0x1100000, 0x7ffffeeff000)
  [inheritance] map
    $2 mmap(0x10000, 0x4000)
  [inheritance] read the pages
    $3 receive_fd(engine fd 1)
    $4 move_fd($3, 60, 1)
    $5 pages_from_file(60, &<000001000000000000300000000000000000000000000000>, 1)
  [inheritance] close the pages image
    $6 close(60)
  [memory] clear the address space
    $0 munmap(0, 0x10000)
    $1 munmap(0x14000, 0xfec000)
    $2 munmap(0x1100000, 0x7ffffeeff000)
  [memory] map
    $3 mmap(0x20000, 0x4000)
  [memory] map
    $4 mlock(0x10000, 0x4000)
  [memory] map
    $5 mlock(0x20000, 0x4000)"
`);
  expect(child).toMatchInlineSnapshot(`
"task 2
  [memory] clear the address space
    $0 munmap(0, 0x10000)
    $1 munmap(0x14000, 0xfec000)
    $2 munmap(0x1100000, 0x7ffffeeff000)
  [memory] map
    $3 update_pages(-1, &<00000100000000000010000000000000ffffffffffffffff>, 1, &<65536 bytes>)
    $4 receive_fd(engine fd 2)
    $5 move_fd($4, 60, 1)
    $6 update_pages(60, &<001001000000000000200000000000000000000000000000>, 1, &<65536 bytes>)
  [memory] map
    $7 mmap(0x30000, 0x4000)
  [memory] read the pages
    $8 pages_from_file(60, &<003001000000000000100000000000000020000000000000>, 1)
  [memory] map
    $9 mlock(0x10000, 0x4000)
  [memory] map
    $10 mlock(0x30000, 0x4000)
  [memory] close the pages image
    $11 close(60)"
`);
});

describe('kept', () => {
  const whole: Memory = { start: 0x10000n, pages: [0n, SIZE] };
  const isKept = (child: Memory, parent: Memory = whole) =>
    made(plans([task(1, [parent]), task(2, [child])], [fork(1, 2)])[1]!).length === 0;

  test.each<[string, Memory, boolean]>([
    ['the same', whole, true],
    ['a part', { start: 0x11000n, size: 0x2000n, pages: [0n, 0x2000n] }, true],
    ['one that is longer', { ...whole, size: 0x5000n }, false],
    ['one that begins before', { start: 0xf000n, pages: [0n, SIZE] }, false],
    ['something else', { ...whole, source: 'file' }, false],
    ['what nothing is known of', { ...whole, source: undefined } as unknown as Memory, false],
    ['one with a quarter of the pages', { ...whole, pages: [0n, 0x1000n] }, true],
    ['one that has lost its pages', { start: 0x10000n }, false],
  ])('%s', (_what, child, kept) => {
    expect(isKept(child)).toBe(kept);
  });

  test('what has no source in either', () => {
    const unknown = { ...whole, source: undefined } as unknown as Memory;
    expect(isKept(unknown, unknown)).toBe(false);
  });

  test('without pages in the parent', () => {
    expect(isKept({ start: 0x10000n, pages: [0n, SIZE] }, { start: 0x10000n })).toBe(true);
  });
});

test('a child that has called execve(2) keeps nothing', () => {
  const vdso = (start: bigint): Memory => ({ start, source: 'vdso', isOfProgram: true });
  const memory: Memory = { start: 0x10000n, pages: [0n, SIZE] };
  const [parent, child] = plans([task(1, [memory, vdso(0x40000n)]), task(2, [memory, vdso(0x50000n)])], [fork(1, 2)]);
  expect(parent).not.toContain('inheritance');
  expect(made(child!)).toEqual([0x10000, 0x50000]);
});

test('the protection of the parent is changed before pages are written', () => {
  const [, child] = plans(
    [task(1, [{ start: 0x10000n, prot: 1 }]), task(2, [{ start: 0x10000n, pages: [0n, 0x1000n] }])],
    [fork(1, 2)],
  );
  expect(child).toMatch(/mprotect\(0x10000, 0x4000, 3\)[\s\S]*pages_from_file/);
});

test('a grandchild gets what its parent made of it; helpers pass on what they have', () => {
  const memory: Memory = { start: 0x10000n, pages: [0n, SIZE] };
  const own: Memory = { start: 0x20000n, pages: [0n, SIZE] };
  const [root, child, grandchild] = plans(
    [task(1, [memory]), task(2, [memory, own]), task(3, [memory, own])],
    [fork(1, 2)],
    [fork(2, -1)],
    [fork(-1, 3)],
  );
  expect([made(root!), made(child!), made(grandchild!)]).toEqual([[0x10000], [0x20000], []]);
  expect(child!.split('\n').filter((line) => line.includes('[inheritance]'))).toHaveLength(5);
  expect(child).toMatch(/inheritance[\s\S]*update_pages[\s\S]*memory/);
});

test('a mapping that only a sister has is not made for the others', () => {
  const memory: Memory = { start: 0x10000n, pages: [0n, SIZE] };
  const other: Memory = { start: 0x90000n };
  const texts = plans([task(1, [other]), task(2, [memory]), task(3, [memory])], [fork(1, 2), fork(1, 3)]);
  expect(texts.some((text) => text.includes('inheritance'))).toBe(false);
});

test('tasks in one address space neither keep nor leave anything', () => {
  const memory: Memory = { start: 0x10000n, pages: [0n, SIZE] };
  const texts = plans(
    [task(1, [memory]), task(2, [memory]), task(3, [], 2), task(4, [memory])],
    [fork(1, 2)],
    [fork(2, 3), fork(2, 4)],
  );
  expect(texts.some((text) => text.includes('inheritance'))).toBe(false);
});

describe('large memory in the same place', () => {
  const size = 0x40_0000n;
  const large = (content: (addr: bigint) => number): Memory => ({
    start: 0x10_0000n,
    size,
    pages: [0n, size],
    content,
  });
  const isKept = (child: (addr: bigint) => number) => {
    const [, plan] = plans([task(1, [large(() => 1)]), task(2, [large(child)])], [fork(1, 2)]);
    return made(plan!).length === 0;
  };

  test.each<[string, (addr: bigint) => number, boolean]>([
    ['that is equal is kept', () => 1, true],
    ['of which a quarter is equal is kept', (addr) => (addr < 0x20_0000n ? 1 : 2), true],
    ['that has nothing in common is not', () => 2, false],
  ])('%s', (_what, content, kept) => {
    expect(isKept(content)).toBe(kept);
  });
});
