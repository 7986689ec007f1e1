import type { InotifyFileEntry, InotifyWdEntry } from '@crts/image-io';
import { ProgramBuilder } from '@crts/native-syscalls';
import { CrtsError, type FdFacts, type FdPlanContext, type FileRecord } from '@crts/plugin-api';
import { parseWatches } from './fdinfo';
import { inotifyHandler } from './handler';
import type { InotifyKernel } from './kernel';
import { maskToAdd } from './mask';
import { addWatches, type Watch } from './watches';

const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };
const watch = (more: Partial<InotifyWdEntry> = {}): InotifyWdEntry => ({
  id: 7,
  i_ino: 12n,
  mask: 0x84000fff,
  ignored_mask: 0,
  s_dev: 0xfe00000,
  wd: 1,
  f_handle: { bytes: 8, type: 1, handle: Array(16).fill(0n), path: '/etc' },
  ...more,
});
const record = (more: Partial<InotifyFileEntry> = {}): FileRecord => ({
  type: 8,
  field: 'ify',
  value: { id: 7, flags: 0o4000, fown, wd: [watch()], ...more },
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

test('instances are matched under both names that kernels give them', () => {
  for (const link of ['anon_inode:inotify', 'anon_inode:[inotify]'])
    expect(inotifyHandler.match({ link } as FdFacts)).toBe(10);
  expect(inotifyHandler.match({ link: 'anon_inode:[fanotify]' } as FdFacts)).toBe(0);
  expect(inotifyHandler.owns(record())).toBe(true);
  expect(inotifyHandler.owns({ ...record(), field: 'ffy' })).toBe(false);
});

test('watches as fdinfo prints them (Linux 6.18)', () => {
  const text = `pos:\t0
flags:\t02004000
mnt_id:\t17
ino:\t1044
inotify wd:11170 ino:21633 sdev:f mask:fff ignored_mask:0 fhandle-bytes:c fhandle-type:81 f_handle:331602000000000000000000
inotify wd:1 ino:2125c6 sdev:fe00000 mask:84000fff ignored_mask:0
`;
  expect(parseWatches(text)).toEqual([
    {
      wd: 70000,
      ino: 0x21633n,
      device: 15,
      mask: 0xfff,
      ignoredMask: 0,
      handle: { type: 0x81, bytes: Buffer.from('331602000000000000000000', 'hex') },
    },
    { wd: 1, ino: 0x2125c6n, device: 0xfe00000, mask: 0x84000fff, ignoredMask: 0, handle: undefined },
  ]);
});

test('IN_ONESHOT and IN_EXCL_UNLINK are kept, no link is followed but those of /proc, and a mask is never empty', () => {
  expect(maskToAdd(0x84000fff, '/etc')).toBe(0x86000fff);
  expect(maskToAdd(0x08000004, '/etc')).toBe(0x02000004);
  expect(maskToAdd(0, '/etc')).toBe(0x02000000);
  expect(maskToAdd(0x84000fff, '/proc/self/fd/7')).toBe(0xc4000fff);
});

test('the instance is made without its watches, which come last', () => {
  const program = new ProgramBuilder();
  inotifyHandler.plan(record({ flags: 0o24000 }), program, {} as FdPlanContext);
  expect(program.text()).toEqual(['inotify_init1(2048)']);
  const context = {
    options: {},
    items: () => [],
    log: { info() {}, warn() {}, debug() {} },
  } as unknown as FdPlanContext;
  expect(inotifyHandler.settle!(record(), context)?.what).toBe('1 watches');
  expect(inotifyHandler.settle!(record({ wd: [] }), context)).toBeUndefined();
});

test('queued events count only where others are to be provoked', () => {
  const context = (inotifyEvents: string) =>
    ({ options: { inotifyEvents }, items: () => [] }) as unknown as FdPlanContext;
  const queued = record({ wd: [], crts_queued_bytes: 32 });
  expect(inotifyHandler.settle!(queued, context('drop'))).toBeUndefined();
  expect(inotifyHandler.settle!(queued, context('provoke'))?.what).toContain('events');
});

test('a watch whose object is gone is told before anything is made', () => {
  const gone = watch({
    f_handle: { bytes: 8, type: 1, handle: Array(16).fill(0xeeee_eeee_eeee_eeeen), path: '/no/such' },
  });
  const context = { options: {}, items: () => [] } as unknown as FdPlanContext;
  const error = failure(() => inotifyHandler.settle!(record({ wd: [gone] }), context));
  expect(error).toMatchObject({ code: 'CRTS_WATCH_GONE', path: '/no/such' });
});

test.each([
  ['a number 0', { wd: 0 }],
  ['a number beyond int', { wd: 0x80000000 }],
  ['an unknown bit', { mask: 0x10000 }],
  ['a handle that is too long', { f_handle: { bytes: 200, type: 1, handle: Array(32).fill(0n) } }],
  ['a handle that is not there', { f_handle: { bytes: 16, type: 1, handle: [0n] } }],
  ['a relative path', { f_handle: { bytes: 0, type: 0, handle: [], path: 'etc' } }],
  ['a path with NUL', { f_handle: { bytes: 0, type: 0, handle: [], path: '/e\0' } }],
])('an image with %s', (_what, more) => {
  const context = {} as FdPlanContext;
  expect(failure(() => inotifyHandler.collect!(record({ wd: [watch(more)] }), context)).code).toBe('CRTS_IMAGE_FIELD');
});

test('an image with two watches of one number', () => {
  expect(
    failure(() => inotifyHandler.collect!(record({ wd: [watch(), watch()] }), {} as FdPlanContext)).what,
  ).toContain('twice');
});

describe('numbers', () => {
  /** A kernel that counts upwards, and takes a number if it may be told one. */
  function kernel(mayTell: boolean) {
    const state = { next: 1, given: [] as number[], removed: [] as number[], queue: 0 };
    const calls: InotifyKernel = {
      setNextWd: (wd) => {
        if (mayTell) state.next = wd;
        return mayTell ? 0 : -25;
      },
      add: () => {
        state.given.push(state.next);
        return state.next++;
      },
      remove: (wd) => {
        state.removed.push(wd);
        state.queue += 16;
      },
      queuedBytes: () => state.queue,
      read: (size) => {
        const read = Math.min(size, state.queue);
        state.queue -= read;
        return read;
      },
    };
    return { state, calls };
  }
  const at = (wd: number): Watch => ({ wd, mask: 1, name: `/${wd}`, reach: (use) => use(`/${wd}`) });

  test('are told, in the order of addition', () => {
    const { state, calls } = kernel(true);
    addWatches(calls, [at(70000), at(1), at(5)]);
    expect(state).toEqual({ next: 6, given: [70000, 1, 5], removed: [], queue: 0 });
  });

  test('are counted up to where the kernel cannot be told, and the traces are read away', () => {
    const { state, calls } = kernel(false);
    addWatches(calls, [at(5), at(2)]);
    expect(state).toEqual({ next: 6, given: [1, 2, 3, 4, 5], removed: [1, 3, 4], queue: 0 });
  });

  test('another number is an error, and so is a refusal', () => {
    const { calls } = kernel(true);
    expect(failure(() => addWatches({ ...calls, add: () => 9 }, [at(5)]))).toMatchObject({ code: 'CRTS_WATCH_NUMBER' });
    expect(failure(() => addWatches({ ...calls, add: () => -28 }, [at(5)]))).toMatchObject({
      code: 'CRTS_WATCH_ADD',
      errno: 'ENOSPC',
      path: '/5',
    });
  });
});
