import type { CrtsSysvEntry } from '@crts/image-io';
import { ProgramBuilder, rawSyscall, sharedMemoryDevice } from '@crts/native-syscalls';
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
import { sysvHandler } from './handler';
import { bootId, checkFree, isThere, readSegment } from './segment';

const START = 0x7f00_0000_0000n;
const PAGE = 4096n;
const IPC_RMID = 0;

/** A segment of this process's namespace: no privilege is needed to make one. */
const id = rawSyscall('shmget', 0, 8192 + 5, 0o1600);
afterAll(() => rawSyscall('shmctl', id, IPC_RMID, null));

const segment = () => readSegment(id) as CrtsSysvEntry;

const facts = (more: Partial<VmaFacts> = {}): VmaFacts => ({
  start: START,
  end: START + 3n * PAGE,
  read: true,
  write: true,
  exec: false,
  shared: true,
  offset: 0n,
  ...sharedMemoryDevice(),
  inode: BigInt(id),
  name: '/SYSV00000000',
  deleted: true,
  vmFlags: new Set(['rd', 'wr', 'mw']),
  ...more,
});

test('match: by name and device', () => {
  expect(sysvHandler.match(facts())).toBeGreaterThan(0);
  expect(sysvHandler.match(facts({ major: 7 }))).toBe(0);
  expect(sysvHandler.match(facts({ deleted: false }))).toBe(0);
  expect(sysvHandler.match(facts({ name: '/memfd:SYSV00000000' }))).toBe(0);
  expect(sysvHandler.match(facts({ vmFlags: new Set(['ht']) }))).toBe(0);
});

describe('segments', () => {
  test('what the kernel says', () => {
    expect(segment()).toMatchObject({ id, key: 0, size: 8197n, mode: 0o600, cpid: process.pid, boot_id: bootId() });
    expect(readSegment(0x7fff_fff0)).toBe('EINVAL');
  });

  test('the same one: key, size, creator and boot', () => {
    expect(isThere(segment())).toBe(true);
    for (const more of [{ key: 5 }, { size: 1n }, { cpid: 1 }, { boot_id: 'other' }])
      expect(isThere({ ...segment(), ...more })).toBe(false);
  });

  test('a number that is in use, and one that is free', () => {
    expect(() => checkFree(segment())).toThrow(/CRTS_SYSV_TAKEN/);
    expect(() => checkFree({ ...segment(), id: 0x7fff_fff0 })).not.toThrow();
  });
});

describe('dump', () => {
  const dump = (vma: VmaFacts, ...others: VmaFacts[]) =>
    sysvHandler.dump(vma, {
      pid: 12,
      hostPid: process.pid,
      facts: { vmas: [vma, ...others] },
    } as unknown as FrozenTask);

  test('a part of the segment was unmapped', () => {
    expect(() => dump(facts({ end: START + PAGE }))).toThrow(/CRTS_SYSV_PART/);
    // Of two attachments each is looked at for itself.
    const other = facts({ start: START + 16n * PAGE, end: START + 18n * PAGE, offset: PAGE });
    expect(() => dump(facts({ end: START + PAGE }), other)).toThrow(/CRTS_SYSV_PART/);
  });

  test('a segment of another namespace', () => {
    expect(() => dump(facts({ inode: 0x7fff_fff0n }))).toThrow(/CRTS_SYSV_GONE.*|EINVAL/);
  });
});

const entry = (more: ImageRecord = {}): ImageRecord => ({
  start: START,
  end: START + 3n * PAGE,
  pgoff: 0n,
  shmid: 41n,
  prot: 3,
  flags: 0x21,
  status: VMA_STATUS.regular | VMA_STATUS.anonShared | VMA_STATUS.sysvipc,
  fd: -1n,
  fdflags: 2,
  crts_sysv: segment(),
  ...more,
});

/** Plans of one restore, one for each task. */
function plans(...tasks: ImageRecord[][]): string[][] {
  const firsts = new Set<string>();
  const shared = {
    first: (key: string) => firsts.size !== firsts.add(key).size,
    hold: () => ({ take: () => 0, sent: () => undefined }) as HeldObject,
    fill: (program: Program, fd: never, shmid: number, size: bigint) =>
      program.call('sendfile', [fd, shmid, null, size]),
  };
  return tasks.map((vmas) => {
    const program = new ProgramBuilder();
    const plan = {
      pid: 12,
      pass: (_head: PassHead, emit: (into: Program) => void) => emit(program),
    } as unknown as TaskPlan;
    for (const vma of vmas)
      sysvHandler.plan(vma, { mm: { vmas } } as unknown as TaskImages, plan, { shared } as unknown as RestoreContext);
    return program.text();
  });
}

describe('plan', () => {
  // Programs show numbers up to a page in decimal, others in hex; the segment has whatever the kernel gave it.
  const shown = (number: number) => (number < 4096 ? String(number) : `0x${number.toString(16)}`);
  const attach = (flags: string, number = id) => `shmat(${shown(number)}, 0x7f0000000000, ${flags}) = 139637976727552`;

  test('a segment that is there is attached, whole, and its parts get their protection', () => {
    const parts = [
      entry({ end: START + PAGE }),
      entry({ start: START + PAGE, pgoff: PAGE, end: START + 3n * PAGE, prot: 1 }),
    ];
    expect(plans(parts)).toEqual([[attach('0'), 'mprotect(0x7f0000001000, 0x2000, 1)']]);
  });

  test('attached for reading only', () => {
    expect(plans([entry({ fdflags: 0, prot: 1 })])).toEqual([[attach('0x1000')]]);
  });

  test('one that is gone is taken by all, filled by the first, and marked once', () => {
    const gone = { ...segment(), id: 0x7fff_fff0, mode: 0o1600 };
    const [first, second] = plans([entry({ crts_sysv: gone })], [entry({ crts_sysv: gone })]);
    const TAKE = 'receive_fd(descriptor of another task)';
    expect(first).toEqual([
      TAKE,
      'sendfile($0, 41, NULL, 0x2005)',
      'close($0)',
      'shmat(0x7ffffff0, 0x7f0000000000, 0) = 139637976727552',
      'shmctl(0x7ffffff0, 0, NULL)',
    ]);
    expect(second).toEqual([TAKE, 'close($0)', 'shmat(0x7ffffff0, 0x7f0000000000, 0) = 139637976727552']);
  });

  test('another segment has the number', () => {
    expect(() => plans([entry({ crts_sysv: { ...segment(), key: 5 } })])).toThrow(/CRTS_SYSV_TAKEN/);
  });

  test.each<[string, () => ImageRecord]>([
    ['no segment', () => entry({ crts_sysv: undefined })],
    ['a part of a segment', () => entry({ end: START + PAGE })],
    ['an offset inside a page', () => entry({ pgoff: 1n })],
    ['a number that is none', () => entry({ crts_sysv: { ...segment(), id: 2 ** 31 } })],
    ['an empty segment', () => entry({ crts_sysv: { ...segment(), size: 0n } })],
    ['a strange mode', () => entry({ crts_sysv: { ...segment(), mode: 0o100600 } })],
    ['a boot id that is none', () => entry({ crts_sysv: { ...segment(), boot_id: 'x'.repeat(65) } })],
  ])('images with %s are refused', (_what, make) => {
    expect(() => plans([make()])).toThrow(/CRTS_IMAGE_(FIELD|PLUGIN)/);
  });
});
