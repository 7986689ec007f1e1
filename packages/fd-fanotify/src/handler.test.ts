import type { FanotifyFileEntry, FanotifyMarkEntry } from '@crts/image-io';
import { ProgramBuilder } from '@crts/native-syscalls';
import { CrtsError, type FdFacts, type FdPlanContext, type FileRecord } from '@crts/plugin-api';
import { parseGroup } from './fdinfo';
import { fanotifyHandler } from './handler';
import { markCalls } from './settle';

const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };
const mark = (more: Partial<FanotifyMarkEntry> = {}): FanotifyMarkEntry => ({
  id: 7,
  type: 1,
  mflags: 0,
  mask: 0x48000020,
  ignored_mask: 0,
  s_dev: 0xfe00000,
  ie: { i_ino: 12n, f_handle: { bytes: 8, type: 1, handle: Array(16).fill(0n), path: '/etc' } },
  ...more,
});
const record = (more: Partial<FanotifyFileEntry> = {}): FileRecord => ({
  type: 12,
  field: 'ffy',
  value: { id: 7, flags: 0o4002, fown, faflags: 3, evflags: 0o100000, mark: [mark()], ...more },
});

function failure(action: () => unknown): CrtsError {
  try {
    action();
  } catch (error) {
    if (error instanceof CrtsError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}

test('groups are matched', () => {
  expect(fanotifyHandler.match({ link: 'anon_inode:[fanotify]' } as FdFacts)).toBe(10);
  expect(fanotifyHandler.match({ link: 'anon_inode:inotify' } as FdFacts)).toBe(0);
  expect(fanotifyHandler.owns(record())).toBe(true);
});

test('marks as fdinfo prints them (Linux 6.18)', () => {
  const text = `pos:\t0
flags:\t02000002
fanotify flags:c01 event-flags:48002
fanotify sdev:1b mflags:0 mask:20 ignored_mask:0
fanotify mnt_id:1e mflags:0 mask:8000020 ignored_mask:0
fanotify ino:2125c3 sdev:fe00000 mflags:440 mask:0 ignored_mask:40000020 fhandle-bytes:8 fhandle-type:1 f_handle:c325210034322583
fanotify mnt_ns:4026531832 mflags:0 mask:1000000 ignored_mask:0
`;
  const { flags, eventFlags, marks } = parseGroup(text);
  expect([flags, eventFlags]).toEqual([0xc01, 0x48002]);
  expect(marks).toEqual([
    { kind: 'filesystem', device: 0x1b, flags: 0, mask: 0x20, ignoredMask: 0 },
    { kind: 'mount', mntId: 30, flags: 0, mask: 0x8000020, ignoredMask: 0 },
    {
      kind: 'inode',
      ino: 0x2125c3n,
      device: 0xfe00000,
      handle: { type: 1, bytes: Buffer.from('c325210034322583', 'hex') },
      flags: 0x440,
      mask: 0,
      ignoredMask: 0x40000020,
    },
    expect.objectContaining({ kind: 'other', text: expect.stringContaining('mnt_ns') }),
  ]);
});

test('the group is made without its marks; O_NONBLOCK follows the descriptor, not the making', () => {
  const program = new ProgramBuilder();
  fanotifyHandler.plan(record(), program, {} as FdPlanContext);
  fanotifyHandler.plan(record({ flags: 0o2 }), program, {} as FdPlanContext);
  expect(program.text()).toEqual(['fanotify_init(3, 0x8000)', 'fanotify_init(3, 0x8000)', 'fcntl($1, 4, 2)']);
});

test.each([
  ['an inode', {}, [{ flags: 0x1, mask: 0x48000020 }]],
  ['events to ignore for ever', { mflags: 0x40, mask: 0, ignored_mask: 2 }, [{ flags: 0x61, mask: 2 }]],
  [
    'both, the new way to ignore, evictable',
    { mflags: 0x640, ignored_mask: 0x40000020 },
    [
      { flags: 0x201, mask: 0x48000020 },
      { flags: 0x641, mask: 0x40000020 },
    ],
  ],
  ['a mount', { type: 2, mask: 16 }, [{ flags: 0x11, mask: 16 }]],
  ['a file system', { type: 2, mflags: 0x100, mask: 16 }, [{ flags: 0x101, mask: 16 }]],
])('calls that make the mark of %s', (_what, more, calls) => {
  expect(markCalls(mark(more))).toEqual(calls);
});

test('marks come last; one that is gone is told before anything is made', () => {
  const context = { options: {}, items: () => [] } as unknown as FdPlanContext;
  expect(fanotifyHandler.settle!(record({ mark: [] }), context)).toBeUndefined();
  const me = { mnt_id: 1, path: '/' };
  expect(fanotifyHandler.settle!(record({ mark: [mark({ type: 2, me })] }), context)?.what).toBe('1 marks');
  const gone = mark({ type: 2, me: { mnt_id: 1, path: '/no/such' } });
  expect(failure(() => fanotifyHandler.settle!(record({ mark: [gone] }), context))).toMatchObject({
    code: 'CRTS_MARK_GONE',
    path: '/no/such',
  });
});

test.each([
  ['a kind that there is not', { type: 3 }],
  ['no inode', { ie: undefined }],
  ['no mount', { type: 2 }],
  ['a mount without path', { type: 2, me: { mnt_id: 3 } }],
  ['a relative path', { type: 2, me: { mnt_id: 3, path: 'x' } }],
  ['unknown flags', { mflags: 0x2 }],
  ['a file system that is an inode', { mflags: 0x100 }],
  ['a handle that is not there', { ie: { i_ino: 1n, f_handle: { bytes: 9, type: 1, handle: [0n] } } }],
])('an image with %s', (_what, more) => {
  const bad = record({ mark: [mark(more as Partial<FanotifyMarkEntry>)] });
  expect(failure(() => fanotifyHandler.collect!(bad, {} as FdPlanContext)).code).toBe('CRTS_IMAGE_FIELD');
});
