import { closeSync, fstatSync, readlinkSync } from 'node:fs';
import { ProgramBuilder, sharedMemoryDevice } from '@crts/native-syscalls';
import {
  type FrozenTask,
  type HeldObject,
  type ImageRecord,
  type PassHead,
  type Program,
  type RestoreContext,
  type TaskImages,
  type TaskPlan,
  VMA_STATUS,
  type VmaFacts,
} from '@crts/plugin-api';
import { sharedHandler } from './handler';
import { makeObject } from './object';

const START = 0x7f00_0000_0000n;
const PAGE = 4096n;

const facts = (more: Partial<VmaFacts> = {}): VmaFacts => ({
  start: START,
  end: START + 2n * PAGE,
  read: true,
  write: true,
  exec: false,
  shared: true,
  offset: PAGE,
  ...sharedMemoryDevice(),
  inode: 9n,
  name: '/dev/zero',
  deleted: true,
  vmFlags: new Set(['rd', 'wr', 'sh', 'mr', 'mw', 'me', 'ms']),
  ...more,
});

describe('match', () => {
  test('shared memory that mmap made', () => {
    expect(sharedHandler.match(facts())).toBeGreaterThan(0);
  });

  test.each<[string, Partial<VmaFacts>]>([
    ['a memfd', { name: '/memfd:x' }],
    ['a deleted file of that name elsewhere', { major: 259 }],
    ['the device itself', { deleted: false }],
    ['a private mapping', { shared: false }],
    ['huge TLB pages', { vmFlags: new Set(['ht']) }],
  ])('leaves %s', (_what, more) => {
    expect(sharedHandler.match(facts(more))).toBe(0);
  });
});

test('an object has the name of shared anonymous memory, and its size', () => {
  const fd = makeObject(5n * PAGE, false);
  try {
    expect(readlinkSync(`/proc/self/fd/${fd}`)).toBe('/dev/zero (deleted)');
    expect(fstatSync(fd).size).toBe(5 * 4096);
  } finally {
    closeSync(fd);
  }
});

test('an object that no machine has room for', () => {
  expect(() => makeObject(1n << 62n, true)).toThrow(/CRTS_SHARED_MEMORY/);
});

test('a mapping that is gone cannot be dumped', () => {
  const task = { hostPid: process.pid } as unknown as FrozenTask;
  expect(() => sharedHandler.dump(facts({ start: PAGE, end: 2n * PAGE }), task)).toThrow(/ENOENT/);
});

const entry = (more: ImageRecord = {}): ImageRecord => ({
  start: START,
  end: START + 2n * PAGE,
  pgoff: PAGE,
  shmid: 41n,
  prot: 3,
  flags: 0x21,
  status: VMA_STATUS.regular | VMA_STATUS.anonShared,
  fd: -1n,
  ...more,
});

/** Plans of several tasks of one restore, each with its mappings. */
function plans(...tasks: ImageRecord[][]) {
  const objects = new Map<string, () => number>();
  const firsts = new Set<string>();
  const fills: [number, bigint][] = [];
  const shared = {
    first: (key: string) => firsts.size !== firsts.add(key).size,
    hold(key: string, make: () => number) {
      if (!objects.has(key)) objects.set(key, make);
      return { take: make, sent: () => undefined } as HeldObject;
    },
    fill: (_program: Program, _fd: unknown, shmid: number, size: bigint) => fills.push([shmid, size]),
  };
  const texts = tasks.map((vmas, index) => {
    const passes: { head: PassHead; emit: (into: Program) => void }[] = [];
    const plan = {
      pid: index,
      pass: (head: PassHead, emit: (into: Program) => void) => passes.push({ head, emit }),
    } as unknown as TaskPlan;
    const context = { shared } as unknown as RestoreContext;
    for (const vma of vmas) sharedHandler.plan(vma, { mm: { vmas } } as unknown as TaskImages, plan, context);
    const program = new ProgramBuilder();
    // What the engine makes of needs and provides: the object, the mappings, the end.
    const rank = ({ head }: { head: PassHead }) =>
      head.provides?.includes('vmas') ? 1 : head.needs?.includes('vmas') ? 2 : 0;
    for (const { emit } of passes.sort((a, b) => rank(a) - rank(b))) emit(program);
    return program.text();
  });
  return { texts, objects, fills };
}

test('two mappings of one object in a task: it is taken once, filled, mapped twice, and let go', () => {
  const other = entry({
    start: START + 0x10000n,
    end: START + 0x11000n,
    pgoff: 0n,
    prot: 1,
    crts_object_size: 8n * PAGE,
  });
  const { texts, fills } = plans([entry(), other]);
  expect(texts).toEqual([
    [
      'receive_fd(descriptor of another task)',
      'mmap(0x7f0000000000, 0x2000, 3, 0x100001, $0, 0x1000) = 139637976727552',
      'mmap(0x7f0000010000, 0x1000, 1, 0x100001, $0, 0) = 139637976793088',
      'close($0)',
    ],
  ]);
  expect(fills).toEqual([[41, 8n * PAGE]]);
});

test('another task takes the same object and does not fill it; without a size the mappings tell it', () => {
  const { texts, objects, fills } = plans([entry()], [entry({ pgoff: 3n * PAGE })]);
  expect(texts[1]![0]).toMatch(/^receive_fd/);
  expect(fills).toHaveLength(1);
  const fd = objects.get('shmem:41')!();
  expect(fstatSync(fd).size).toBe(5 * 4096);
  closeSync(fd);
});

test.each([
  ['an offset inside a page', { pgoff: 1n }],
  ['an offset beyond all files', { pgoff: 1n << 63n }],
  ['a size beyond all files', { crts_object_size: 1n << 63n }],
  ['a number beyond all numbers', { shmid: 1n << 60n }],
])('images with %s are refused', (_what, more) => {
  expect(() => plans([entry(more)])).toThrow(/CRTS_IMAGE_FIELD/);
});
