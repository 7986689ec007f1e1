import { hasAnonymousNames, ProgramBuilder } from '@crts/native-syscalls';
import {
  type FrozenTask,
  type ImageRecord,
  type MappingHead,
  type PassHead,
  type PrivateMapping,
  type Program,
  type RestoreContext,
  type StoredRun,
  type TaskImages,
  type TaskPlan,
  VMA_STATUS,
  type VmaFacts,
} from '@crts/plugin-api';
import { anonymousHandler } from './handler';

const START = 0x7f00_0000_0000n;

const facts = (more: Partial<VmaFacts> = {}): VmaFacts => ({
  start: START,
  end: START + 0x2000n,
  read: true,
  write: true,
  exec: false,
  shared: false,
  offset: 0n,
  major: 0,
  minor: 0,
  inode: 0n,
  name: '',
  deleted: false,
  vmFlags: new Set(['rd', 'wr', 'mr', 'mw', 'me']),
  ...more,
});

const dump = (more: Partial<VmaFacts> = {}) =>
  anonymousHandler.dump(facts(more), { log: { warn: () => undefined } } as unknown as FrozenTask);

/** The plan of an entry; `stored`: pages of it are in the images. */
function plan(entry: ImageRecord, stored: boolean | readonly StoredRun[] = false) {
  const program = new ProgramBuilder();
  const heads: PassHead[] = [];
  const sources: (string | undefined)[] = [];
  const taskPlan = {
    privateMapping(head: MappingHead, mapping: PrivateMapping) {
      heads.push({ ...head, stage: 'memory' });
      sources.push(mapping.source);
      mapping.map(program);
      if (mapping.hasPages) program.call('read', []);
      mapping.finish(program);
    },
    pass(head: PassHead, emit: (into: Program) => void) {
      heads.push(head);
      emit(program);
    },
  } as unknown as TaskPlan;
  const context = {
    pages: { runs: () => (typeof stored === 'boolean' ? (stored ? [{}] : []) : stored) },
    log: { warn: () => undefined },
  } as unknown as RestoreContext;
  anonymousHandler.plan(entry, {} as TaskImages, taskPlan, context);
  return { heads, sources, text: program.text() };
}

describe('match', () => {
  test.each(['', '[heap]', '[stack]', '[anon:arena]'])('takes "%s"', (name) => {
    expect(anonymousHandler.match(facts({ name }))).toBeGreaterThan(0);
  });

  test.each<[string, Partial<VmaFacts>]>([
    ['a file', { inode: 12n, name: '/lib' }],
    ['shared memory', { shared: true, inode: 3n, name: '/dev/zero' }],
    ['the vdso', { name: '[vdso]' }],
    ['huge TLB pages of no device of the kernel', { vmFlags: new Set(['ht']) }],
    ['a shadow stack', { vmFlags: new Set(['rd', 'wr', 'ss']) }],
    ['memory that a userfaultfd watches', { vmFlags: new Set(['um']) }],
  ])('leaves %s', (_what, more) => {
    expect(anonymousHandler.match(facts(more))).toBe(0);
  });
});

test('huge TLB pages: the size is in the flags, the offset is that in the nameless file', () => {
  const START2 = 0x7f00_0000_0000n;
  const entry = {
    start: START2,
    end: START2 + 0x400000n,
    pgoff: 0x200000n,
    shmid: 0n,
    prot: 1,
    flags: 0x22 | 0x40000 | (21 << 26),
    status: VMA_STATUS.regular | VMA_STATUS.anonPrivate,
    fd: -1n,
  };
  expect(anonymousHandler.owns(entry)).toBe(true);
  expect(plan(entry, true).text).toEqual([
    'mmap(0x7f0000000000, 0x400000, 3, 0x54140022, -1, 0x200000) = 139637976727552',
    'read()',
    'mprotect(0x7f0000000000, 0x400000, 1)',
  ]);
  expect(() => plan({ ...entry, end: START2 + 0x1000n }, true)).toThrow(/CRTS_IMAGE_FIELD/);
});

test('the entry of a heap that is locked and not to be inherited', () => {
  const { entry, pages } = dump({ name: '[heap]', vmFlags: new Set(['lo', 'dc']) });
  expect(pages).toBe('private');
  expect(entry).toEqual({
    start: START,
    end: START + 0x2000n,
    pgoff: 0n,
    shmid: 0n,
    prot: 3,
    flags: 0x2022,
    status: VMA_STATUS.regular | VMA_STATUS.anonPrivate | VMA_STATUS.heap,
    fd: -1n,
    madv: 1n << 10n,
  });
  expect(plan(entry, true).text).toEqual([
    'mmap(0x7f0000000000, 0x2000, 3, 0x100022, -1, 0) = 139637976727552',
    'read()',
    'madvise(0x7f0000000000, 0x2000, 10)',
    'mlock(0x7f0000000000, 0x2000)',
  ]);
});

test('memory with contents is mapped writable until it is filled', () => {
  const { text, heads } = plan(dump({ read: false, write: false }).entry, true);
  expect(text).toEqual([
    'mmap(0x7f0000000000, 0x2000, 2, 0x100022, -1, 0) = 139637976727552',
    'read()',
    'mprotect(0x7f0000000000, 0x2000, 0)',
  ]);
  expect(heads).toMatchObject([{ stage: 'memory', needs: ['mm:cleared'], provides: ['vma:7f0000000000', 'vmas'] }]);
});

describe('protection keys', () => {
  test('a key of its own', () => {
    const { entry } = dump({ protectionKey: 3 });
    expect(entry).toMatchObject({ crts_pkey: 3 });
    expect(plan(entry).text).toEqual([
      'mmap(0x7f0000000000, 0x2000, 3, 0x100022, -1, 0) = 139637976727552',
      'pkey_mprotect(0x7f0000000000, 0x2000, 3, 3)',
    ]);
  });

  test('key 0 needs no word, but for execute-only memory, to which the kernel would give another', () => {
    expect(dump({ protectionKey: 0 }).entry).not.toHaveProperty('crts_pkey');
    const { entry } = dump({ protectionKey: 0, read: false, write: false, exec: true });
    expect(plan(entry).text).toEqual([
      'mmap(0x7f0000000000, 0x2000, 0, 0x100022, -1, 0) = 139637976727552',
      'pkey_mprotect(0x7f0000000000, 0x2000, 4, 0)',
    ]);
  });

  test('images without a word leave it to the kernel', () => {
    const { entry } = dump({ read: false, write: false, exec: true });
    expect(plan(entry).text).toEqual(['mmap(0x7f0000000000, 0x2000, 4, 0x100022, -1, 0) = 139637976727552']);
  });
});

test('locked when touched, and sealed (which another handler does in the end)', () => {
  const { entry } = dump({ vmFlags: new Set(['lo', 'lf', 'sl']) });
  expect(entry).toMatchObject({ crts_state: 3, flags: 0x2022 });
  expect(plan(entry).text[1]).toBe('mlock2(0x7f0000000000, 0x2000, 1)');
});

test('droppable memory comes back empty', () => {
  const { entry, pages } = dump({ vmFlags: new Set(['dp', 'nr', 'wf', 'dd']) });
  expect(pages).toBe('none');
  expect(plan(entry).text[0]).toMatch(/^mmap\(0x7f0000000000, 0x2000, 3, 0x104028, -1, 0\)/);
});

test('a name, where the kernel has names', () => {
  const { entry } = dump({ name: '[anon:arena 1]' });
  expect(entry).toMatchObject({ crts_name: 'arena 1' });
  const named = plan(entry).text.filter((line) => line.startsWith('prctl('));
  expect(named).toHaveLength(hasAnonymousNames() ? 1 : 0);
});

test('a guard region inside a mapping', () => {
  const entry = { start: START, end: START + 0x1000n, prot: 0, flags: 0, status: VMA_STATUS.guard };
  const { text, heads } = plan(entry);
  expect(text).toEqual(['madvise(0x7f0000000000, 0x1000, 102)']);
  expect(heads).toMatchObject([{ needs: ['vmas'], provides: ['guards'] }]);
});

test.each([
  ['an empty range', { end: START }],
  ['an address that is no page', { start: START + 1n }],
  ['the half of the kernel', { end: 1n << 63n }],
  ['an unknown protection', { prot: 8 }],
  ['a key that no CPU has', { crts_pkey: 16 }],
  ['an unknown state', { crts_state: 8 }],
  ['a name that is none', { crts_name: 'a[b' }],
  ['a name too long', { crts_name: 'x'.repeat(80) }],
])('images with %s are refused', (_what, more) => {
  expect(() => plan({ ...dump().entry, ...more })).toThrow(/CRTS_IMAGE_FIELD/);
});

test('memory for huge pages is told before it is filled, if it is full', () => {
  const entry = dump({ end: START + 0x40_0000n, vmFlags: new Set(['hg']) }).entry;
  const calls = (lengthBytes: bigint) => plan(entry, [{ addr: START, lengthBytes, fileOffset: 0n, file: 0 }]).text;
  const names = (text: string[]) => text.map((line) => line.replace(/\(.*/, ''));
  expect(names(calls(0x40_0000n))).toEqual(['mmap', 'madvise', 'read', 'madvise']);
  expect(names(calls(0x20_0000n))).toEqual(['mmap', 'read', 'madvise']);
});

describe('what a child may keep of its parent', () => {
  const sourceOf = (more: Partial<VmaFacts>, stored = false) => plan(dump(more).entry, stored).sources[0];

  test('is the same memory, whatever its protection and most of its advice are', () => {
    const source = sourceOf({});
    expect(source).toBeDefined();
    expect(sourceOf({ write: false, vmFlags: new Set(['lo', 'rr']) })).toBe(source);
    expect(sourceOf({}, true)).toBe(source);
    expect(sourceOf({ name: '[heap]' })).toBe(source);
  });

  test('is not a stack for other memory, or memory that is accounted for other', () => {
    const sources = [{}, ...['gd', 'nr', 'hg'].map((flag) => ({ vmFlags: new Set([flag]) }))].map((more) =>
      sourceOf(more),
    );
    expect(new Set(sources).size).toBe(4);
  });

  test('is nothing that gets a protection key, or that children never have', () => {
    const entry = { ...dump().entry, prot: 4 };
    expect(plan(entry).sources).toEqual([undefined]);
    expect(sourceOf({ vmFlags: new Set(['dp']) })).toBeUndefined();
  });
});
