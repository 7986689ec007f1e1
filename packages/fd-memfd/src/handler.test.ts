import { closeSync, fstatSync, openSync, readlinkSync } from 'node:fs';
import type { MemfdFileEntry, MemfdInodeEntry } from '@crts/image-io';
import { cPath, memfd, ProgramBuilder, rawSyscall } from '@crts/native-syscalls';
import {
  type FdDumpContext,
  type FdFacts,
  type FdPlanContext,
  type FileRecord,
  type HeldObject,
  type ImageItem,
  InheritedFds,
  type LateFd,
  type Program,
  type RestoreContext,
  type RunOptions,
  type SharedMemory,
  type TaskImages,
  type TaskPlan,
} from '@crts/plugin-api';
import { memfdHandler } from './handler';
import { checkedInode, heldInode, reopened } from './inode';
import { sealing } from './sealing';

const opened: number[] = [];
afterAll(() => {
  for (const fd of opened) closeSync(fd);
});

function facts(fd: number, more: Partial<FdFacts> = {}): FdFacts {
  const { mode, uid, gid, dev, ino, rdev, size, nlink, ctimeNs } = fstatSync(fd, { bigint: true });
  return {
    pid: 4312,
    fd: 5,
    local: fd,
    via: `/proc/self/fd/${fd}`,
    link: readlinkSync(`/proc/self/fd/${fd}`).replace(/ \(deleted\)$/, ''),
    deleted: true,
    mode: Number(mode),
    uid: Number(uid),
    gid: Number(gid),
    dev,
    ino,
    rdev,
    sizeBytes: size,
    nlink,
    changeNs: ctimeNs,
    fsType: 0x1021994n,
    flags: 0o100002,
    fdinfo: '',
    pos: 7n,
    mntId: 0,
    ...more,
  };
}

/** Dumps descriptions of one tree. */
function dump(...list: FdFacts[]) {
  const items: ImageItem[] = [];
  const firsts = new Set<string>();
  const context = {
    id: 3,
    fown: { pid: 0 },
    first: (key: string) => firsts.size !== firsts.add(key).size,
    addItem: (_kind: string, item: ImageItem) => items.push(item),
    addSharedMemory: (memory: SharedMemory) => Number(memory.ino),
  } as unknown as FdDumpContext;
  return { records: list.map((one) => memfdHandler.dump(one, context)), items };
}

describe('dump', () => {
  const fd = memfd('thing', 5000);
  opened.push(fd);

  test('match: by its name, and only when it is deleted as all memfds are', () => {
    expect(memfdHandler.match(facts(fd))).toBeGreaterThan(10);
    expect(memfdHandler.match(facts(fd, { deleted: false }))).toBe(0);
    expect(memfdHandler.match(facts(fd, { link: '/tmp/x' }))).toBe(0);
  });

  test('two descriptions of one memfd: two entries, one inode', () => {
    const { records, items } = dump(facts(fd), facts(fd, { flags: 0o100000, pos: 0n }));
    const ino = Number(fstatSync(fd).ino);
    expect(records).toMatchObject([
      { type: 18, field: 'memfd', value: { id: 3, flags: 0o100002, pos: 7n, inode_id: ino } },
      { value: { flags: 0o100000, pos: 0n, inode_id: ino } },
    ]);
    expect(items).toEqual([
      {
        value: expect.objectContaining({
          name: 'thing',
          size: 5000n,
          shmid: ino,
          seals: 1,
          inode_id: BigInt(ino),
        }),
      },
    ]);
  });

  test('one that is only named, as under a mapping', () => {
    const named = openSync(`/proc/self/fd/${fd}`, 0o10000000);
    opened.push(named);
    expect(dump(facts(named, { fd: -1 })).items).toMatchObject([{ value: { seals: 1 } }]);
  });

  test('a file of another filesystem that is called so is refused', () => {
    expect(() => dump(facts(fd, { dev: 99n }))).toThrow(/CRTS_FD_KIND/);
  });

  test('one of huge TLB pages says so', () => {
    const huge = rawSyscall('memfd_create', cPath('huge'), 5 | (21 << 26));
    if (huge < 0) return;
    opened.push(huge);
    expect(dump(facts(huge)).items).toMatchObject([{ value: { hugetlb_flag: 4 | (21 << 26), seals: 1 } }]);
  });
});

const inode = (more: Partial<MemfdInodeEntry> = {}): MemfdInodeEntry => ({
  name: 'thing',
  uid: process.getuid!(),
  gid: process.getgid!(),
  size: 5000n,
  shmid: 9,
  seals: 1,
  inode_id: 9n,
  mode: 0o100777,
  ...more,
});

const record = (more: Partial<MemfdFileEntry> = {}): FileRecord => ({
  type: 18,
  field: 'memfd',
  value: { id: 3, flags: 0o100002, pos: 0n, fown: {}, inode_id: 9, ...more } as unknown as Record<string, unknown>,
});

/** Plans of one restore, and what they take. */
function restore(inodes: MemfdInodeEntry[], options: Partial<RunOptions> = {}) {
  const firsts = new Set<string>();
  const held = new Map<string, HeldObject>();
  const made: number[] = [];
  const shared = {
    first: (key: string) => firsts.size !== firsts.add(key).size,
    hold(key: string, make: () => number): HeldObject {
      let fd: number | undefined;
      const take = () => {
        if (fd === undefined) {
          fd = make();
          opened.push(fd);
        }
        return fd;
      };
      if (!held.has(key)) held.set(key, { take, sent: () => undefined });
      return held.get(key)!;
    },
    lend: (make: () => number): LateFd => ({ take: () => made.push(make()), sent: () => undefined }),
    fill: (program: Program, fd: never, shmid: number, size: bigint) =>
      program.call('sendfile', [fd, shmid, null, size]),
  };
  const context = {
    shared,
    items: () => inodes.map((value) => ({ value })),
    options,
    openFile: (program: Program, { name }: { name: string }, flags: number) =>
      program.call('openat', [-100, program.cstring(`handed back: ${name}`), flags, 0]),
  } as unknown as FdPlanContext & RestoreContext;
  return { context, held };
}

function planText(context: FdPlanContext, ...records: FileRecord[]): string[] {
  const program = new ProgramBuilder();
  for (const one of records) {
    memfdHandler.collect!(one, context);
    memfdHandler.plan(one, program, context);
  }
  return program.text();
}

describe('plan', () => {
  const TAKE = 'receive_fd(descriptor of another task)';

  test('the first fills it by a description of its own, and gets the original with its flags', () => {
    const { context } = restore([inode()]);
    expect(planText(context, record({ pos: 12n, flags: 0o102002 }), record())).toEqual([
      TAKE,
      'sendfile($0, 9, NULL, 0x1388)',
      'close($0)',
      TAKE,
      'fcntl($3, 4, 1024)',
      'lseek($3, 12, 0) = 12',
      TAKE,
    ]);
  });

  test('handed back: opened again with its flags, from its beginning, and not filled', () => {
    const { context } = restore([inode()], { inherit: new InheritedFds([{ fd: 9, key: `/memfd:${inode().name}` }]) });
    expect(planText(context, record({ pos: 12n, flags: 0o102002 }))).toEqual([
      `openat(AT_FDCWD, "handed back: /memfd:${inode().name}", 0x8402, 0)`,
    ]);
  });

  test('an empty one is not filled', () => {
    expect(planText(restore([inode({ size: 0n })]).context, record({ flags: 0o100000 }))).toEqual([TAKE]);
  });

  test('seals are added once, in the end; none where it was made unsealable', () => {
    const { context } = restore([inode({ seals: 0xe }), inode({ inode_id: 10n })]);
    const program = new ProgramBuilder();
    const stages: string[] = [];
    const plan = {
      pass(head: { stage: string }, emit: (into: Program) => void) {
        stages.push(head.stage);
        emit(program);
      },
    } as unknown as TaskPlan;
    sealing.plan!({} as TaskImages, plan, context);
    sealing.plan!({} as TaskImages, plan, context);
    expect(stages).toEqual(['sigchld']);
    expect(program.text()).toEqual([TAKE, 'fcntl($0, 1033, 14)', 'close($0)']);
  });

  test.each([
    ['unknown flags', {}, { flags: 0o40000000 }],
    ['an offset beyond all files', {}, { pos: 1n << 63n }],
    ['a memfd that is not there', {}, { inode_id: 77 }],
    ['a name too long', { name: 'x'.repeat(250) }, {}],
    ['a name with an end inside', { name: 'a\0b' }, {}],
    ['unknown seals', { seals: 0x40 }, {}],
    ['a size beyond all files', { size: 1n << 63n }, {}],
    ['a size that is no huge pages', { hugetlb_flag: 4 }, {}],
    ['unknown huge pages', { hugetlb_flag: 5, size: 0n }, {}],
  ])('images with %s are refused', (_what, moreInode, moreRecord) => {
    const { context } = restore([inode(moreInode)]);
    expect(() => planText(context, record(moreRecord))).toThrow(/CRTS_IMAGE_(FIELD|REFERENCE)/);
  });

  test('images with the same memfd twice are refused', () => {
    expect(() => planText(restore([inode(), inode()]).context, record())).toThrow(/CRTS_IMAGE_REFERENCE/);
  });
});

describe('making', () => {
  const make = (entry: MemfdInodeEntry) =>
    heldInode(restore([]).context.shared, checkedInode({ value: entry as never })).take();

  test('name, size, mode, owner; a descriptor of its own', () => {
    const { context } = restore([]);
    const entry = inode({ mode: 0o100640, uid: process.getuid!(), gid: process.getgid!() });
    const held = heldInode(context.shared, entry);
    const fd = held.take();
    expect(readlinkSync(`/proc/self/fd/${fd}`)).toBe('/memfd:thing (deleted)');
    expect(fstatSync(fd)).toMatchObject({ size: 5000, uid: entry.uid, gid: entry.gid, mode: 0o100640 });
    const other = reopened(held, entry, 0);
    opened.push(other);
    expect(fstatSync(other).ino).toBe(fstatSync(fd).ino);
  });

  test.each([
    ['unsealable', { seals: 1 }, 1],
    ['to be sealed later', { seals: 0xe }, 0],
    ['without execute bits by a seal', { seals: 0x20, mode: 0o100666 }, 0x20],
  ])('%s', (_what, more, seals) => {
    expect(rawSyscall('fcntl', make(inode(more)), 1034)).toBe(seals);
  });

  test('flags that the kernel does not take', () => {
    const held = heldInode(restore([]).context.shared, inode());
    expect(() => reopened(held, inode(), 0o200000)).toThrow(/ENOTDIR.*CRTS_MEMFD/);
  });
});
