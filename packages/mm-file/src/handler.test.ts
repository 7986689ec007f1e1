import { ProgramBuilder } from '@crts/native-syscalls';
import {
  type FrozenTask,
  type ImageRecord,
  MAP,
  type PassHead,
  type Program,
  type RestoreContext,
  type TaskImages,
  type TaskPlan,
  VMA_STATUS,
  type VmaFacts,
} from '@crts/plugin-api';
import { fileHandler } from './handler';

const START = 0x7f00_0000_0000n;
const END = START + 0x2000n;
const O_RDWR = 2;

const facts = (more: Partial<VmaFacts> = {}): VmaFacts => ({
  start: START,
  end: END,
  read: true,
  write: false,
  exec: true,
  shared: false,
  offset: 0x1000n,
  major: 254,
  minor: 0,
  inode: 9n,
  name: '/lib/x.so',
  deleted: false,
  vmFlags: new Set(['rd', 'ex', 'mr', 'mw', 'me']),
  ...more,
});

describe('match', () => {
  test.each<[string, Partial<VmaFacts>]>([
    ['a private mapping', {}],
    ['a shared one', { shared: true }],
    ['a deleted file', { deleted: true }],
    ['a memfd', { name: '/memfd:x', deleted: true }],
    ['shared anonymous memory that is mapped privately', { name: '/dev/zero', deleted: true }],
    ['a file with the name of a segment', { name: '/SYSV00000000' }],
  ])('takes %s', (_what, more) => {
    expect(fileHandler.match(facts(more))).toBeGreaterThan(0);
  });

  test.each<[string, Partial<VmaFacts>]>([
    ['memory of no file', { inode: 0n, name: '' }],
    ['a name that is no path', { name: 'anon_inode:[perf_event]' }],
    ['shared anonymous memory', { name: '/dev/zero', deleted: true, shared: true }],
    ['shared anonymous huge pages', { name: '/anon_hugepage', deleted: true, shared: true }],
    ['a System V segment', { name: '/SYSV0000002a', deleted: true, shared: true }],
    ['an AIO ring', { name: '/[aio]', deleted: true, shared: true }],
    ['secret memory', { name: '/secretmem', deleted: true, shared: true }],
    ['a device (VM_PFNMAP)', { vmFlags: new Set(['rd', 'mr', 'pf']) }],
  ])('leaves %s', (_what, more) => {
    expect(fileHandler.match(facts(more))).toBe(0);
  });
});

describe('dump', () => {
  function dumped(more: Partial<VmaFacts>) {
    const asked: ImageRecord[] = [];
    const files = { addPath: (_task: unknown, want: ImageRecord) => asked.push(want) + 6 };
    const task = { hostPid: 44, files } as unknown as FrozenTask;
    const { entry, pages } = fileHandler.dump(facts(more), task);
    return { asked, entry: entry as ImageRecord, pages };
  }

  test('a private mapping: its file to read, by the link that the kernel keeps of it, and the copied pages', () => {
    const { asked, entry, pages } = dumped({});
    expect(asked).toEqual([
      {
        path: '/lib/x.so',
        deleted: false,
        via: '/proc/44/map_files/7f0000000000-7f0000002000',
        flags: 0,
        role: 'mapping 7f0000000000-7f0000002000',
      },
    ]);
    expect(entry).toMatchObject({ start: START, end: END, shmid: 7n, pgoff: 0x1000n, fdflags: 0 });
    expect(entry.status).toBe(VMA_STATUS.regular | VMA_STATUS.filePrivate);
    expect(pages).toBe('private');
  });

  test('a shared mapping has no pages of its own', () => {
    const { entry, pages } = dumped({ shared: true });
    expect(entry.status).toBe(VMA_STATUS.regular | VMA_STATUS.fileShared);
    expect(pages).toBe('none');
  });

  test.each<[string, string[], number]>([
    ['for writing, where mprotect(2) could make it writable', ['rd', 'sh', 'mr', 'mw'], O_RDWR],
    ['for reading, where it could not', ['rd', 'sh', 'mr'], 0],
  ])('the file of a shared mapping is opened %s', (_what, vmFlags, flags) => {
    const { asked, entry } = dumped({ shared: true, vmFlags: new Set(vmFlags) });
    expect(asked[0]!.flags).toBe(flags);
    expect(entry.fdflags).toBe(flags);
  });

  test.each<[string, Partial<VmaFacts>]>([
    ['a memfd', { name: '/memfd:x', deleted: true }],
    ['shared anonymous memory', { name: '/dev/zero', deleted: true }],
  ])('%s is marked as one', (_what, more) => {
    expect((dumped(more).entry.status as number) & VMA_STATUS.memfd).not.toBe(0);
  });
});

const entry = (more: ImageRecord = {}): ImageRecord => ({
  start: START,
  end: END,
  pgoff: 0x1000n,
  shmid: 7n,
  prot: 5,
  flags: 2,
  status: VMA_STATUS.regular | VMA_STATUS.filePrivate,
  fd: -1n,
  fdflags: 0,
  ...more,
});

interface Planned {
  readonly head: PassHead;
  readonly source: string | undefined;
  readonly text: string[];
}

/** What becomes of mappings of one task: `pages` says where the images have contents, `kind` what file 7 is. */
function planned(vmas: ImageRecord[], pages: unknown[] = [], kind = 'reg'): Planned[] {
  const out: Planned[] = [];
  const add = (head: PassHead, source: string | undefined, emit: (program: Program) => void) => {
    const program = new ProgramBuilder();
    emit(program);
    out.push({ head, source, text: program.text() });
  };
  const plan = {
    pid: 5,
    pass: (head: PassHead, emit: (program: Program) => void) => add(head, undefined, emit),
    privateMapping(head: PassHead, mapping: Parameters<TaskPlan['privateMapping']>[1]) {
      add(head, mapping.source, (program) => {
        mapping.map(program);
        mapping.finish(program);
      });
    },
  } as unknown as TaskPlan;
  const context = {
    pages: { runs: () => pages },
    files: {
      pathOf: () => '/lib/x.so',
      record: () => ({ field: kind }),
      open: (program: Program, id: number, flags: number) =>
        program.call('openat', [-100, 0, flags, 0], { what: `open file ${id}` }),
    },
  } as unknown as RestoreContext;
  for (const vma of vmas) fileHandler.plan(vma, { mm: { vmas } } as unknown as TaskImages, plan, context);
  return out;
}

describe('plan', () => {
  test('the file is opened, mapped where it was and closed; nothing else may lie there', () => {
    const [{ head, text }] = planned([entry()]) as [Planned];
    expect(text).toEqual([
      'openat(AT_FDCWD, 0, 0, 0)',
      'mmap(0x7f0000000000, 0x2000, 5, 0x100002, $0, 0x1000) = 139637976727552',
      'close($0)',
    ]);
    expect(head).toMatchObject({ plugin: 'mm-file', what: '/lib/x.so at 0x7f0000000000' });
  });

  test('pages to come make it writable first, and its own protection comes last', () => {
    const [{ text }] = planned([entry()], [{}]) as [Planned];
    expect(text[1]).toMatch(/^mmap\(0x7f0000000000, 0x2000, [37],/);
    expect(text.at(-1)).toBe('mprotect(0x7f0000000000, 0x2000, 5)');
  });

  test('a shared mapping needs no pages, and the flags that the image has with it', () => {
    const [{ text }] = planned([entry({ status: 1 | VMA_STATUS.fileShared, flags: 1, prot: 3, fdflags: O_RDWR })]) as [
      Planned,
    ];
    expect(text[0]).toBe('openat(AT_FDCWD, 0, 2, 0)');
    expect(text[1]).toMatch(/^mmap\(0x7f0000000000, 0x2000, 3, 0x100001, /);
  });

  test('parts of one mapping have one source: the file, and its place at address 0', () => {
    const [first, second, elsewhere] = planned([
      entry(),
      entry({ start: END, end: END + 0x1000n, pgoff: 0x3000n }),
      entry({ start: END, end: END + 0x1000n, pgoff: 0x4000n }),
    ]);
    expect(first!.source).toBeDefined();
    expect(second!.source).toBe(first!.source);
    expect(elsewhere!.source).not.toBe(first!.source);
  });

  test.each<[string, ImageRecord, string]>([
    ['what may only be executed: the kernel gives it a key when it is mapped', { prot: 4 }, 'reg'],
    ['huge TLB pages', { flags: 2 | MAP.hugeTlb, end: START + 0x20_0000n, pgoff: 0n }, 'reg'],
    ['a memfd, which is made by the restore', {}, 'memfd'],
  ])('no source is told of %s', (_what, more, kind) => {
    expect(planned([entry(more)], [], kind)[0]!.source).toBeUndefined();
  });

  test.each<[string, ImageRecord]>([
    ['an end before its start', { end: START - 0x1000n }],
    ['a start inside a page', { start: START + 1n }],
  ])('images with %s are refused', (_what, more) => {
    expect(() => planned([entry(more)])).toThrow(/CRTS_IMAGE_FIELD/);
  });
});

test('mappings of files are its own, and no others', () => {
  expect(fileHandler.owns(entry())).toBe(true);
  expect(fileHandler.owns(entry({ status: VMA_STATUS.regular | VMA_STATUS.fileShared }))).toBe(true);
  expect(fileHandler.owns(entry({ status: VMA_STATUS.regular | VMA_STATUS.anonShared }))).toBe(false);
});
