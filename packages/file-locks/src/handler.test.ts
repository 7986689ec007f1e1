import type { FileLockEntry } from '@crts/image-io';
import { ProgramBuilder } from '@crts/native-syscalls';
import {
  CrtsError,
  type FrozenTask,
  type PassHead,
  type Program,
  type RestoreContext,
  type TaskImages,
  type TaskPlan,
} from '@crts/plugin-api';
import { locksHandler } from './handler';

const FLOCK = 'lock:\t1: FLOCK  ADVISORY  WRITE 12 fe:00:3 0 EOF\n';
const LEASE = 'lock:\t1: LEASE  ACTIVE    READ 12 fe:00:3 0 EOF\n';
const BREAKING = 'lock:\t1: LEASE  BREAKING  UNLCK 12 fe:00:3 0 EOF\n';
const POSIX = 'lock:\t1: POSIX  ADVISORY  WRITE 12 fe:00:3 0 EOF\n';

function failure(action: () => unknown): CrtsError {
  try {
    action();
  } catch (error) {
    if (error instanceof CrtsError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}

describe('dump', () => {
  const run = (
    descriptors: FrozenTask['descriptors'],
    fdinfo: Record<string, string>,
    fileLocks = true,
    pid = 12,
    tree = {},
    tableHolders?: number[],
  ) => {
    const read: string[] = [];
    const task = {
      pid,
      hostPid: pid,
      tree,
      tableHolders,
      descriptors,
      options: { fileLocks },
      images: { locks: [] },
      readProc: (name: string) => {
        read.push(name);
        return fdinfo[name] ?? '';
      },
      readLink: (name: string) => `/srv/${name}`,
    } as unknown as FrozenTask;
    locksHandler.dump(task, new ProgramBuilder())();
    return { locks: task.images.locks, read };
  };

  test('each description is asked once, whatever kind of file it is of', () => {
    const descriptors = [
      { fd: 0, id: 1 },
      { fd: 1, id: 2 },
      { fd: 7, id: 1 },
    ];
    const { locks, read } = run(descriptors, { 'fdinfo/0': FLOCK, 'fdinfo/1': 'pos:\t0\n', 'fdinfo/7': FLOCK });
    expect(read).toEqual(['fdinfo/0', 'fdinfo/1']);
    expect(locks).toEqual([{ flag: 2, type: 1, pid: 12, fd: 0, start: 0n, len: 0n }]);
  });

  test('facts that the engine has are not read again', () => {
    const { locks, read } = run([{ fd: 3, id: 1, facts: { fdinfo: FLOCK } as never }], {});
    expect(read).toEqual([]);
    expect(locks).toHaveLength(1);
  });

  test('without --file-locks a lock is refused, and none is fine', () => {
    const error = failure(() => run([{ fd: 3, id: 1 }], { 'fdinfo/3': FLOCK }, false));
    expect(error).toMatchObject({ code: 'CRTS_FILE_LOCK', kind: 'refused', pid: 12, fd: 3, path: '/srv/fd/3' });
    expect(error.hint).toContain('--file-locks');
    expect(run([{ fd: 3, id: 1 }], {}, false).locks).toEqual([]);
  });

  test('a lease', () => {
    expect(run([{ fd: 3, id: 1 }], { 'fdinfo/3': LEASE }).locks).toEqual([
      { flag: 8, type: 0, pid: 12, fd: 3, start: 0n, len: 0n },
    ]);
  });

  test('a lease that is being broken', () => {
    expect(run([{ fd: 3, id: 1 }], { 'fdinfo/3': BREAKING }).locks).toEqual([
      { flag: 8, type: 6, pid: 12, fd: 3, start: 0n, len: 0n },
    ]);
  });

  test('a lock of another kind is refused', () => {
    const error = failure(() => run([{ fd: 3, id: 1 }], { 'fdinfo/3': LEASE.replace('LEASE ', 'DELEG ') }));
    expect(error).toMatchObject({ code: 'CRTS_FILE_LOCK_KIND', kind: 'refused', fd: 3 });
    expect(error.what).toContain('DELEG ACTIVE');
  });

  test('a lock of a description that tasks share is taken once, by who took it', () => {
    const tree = {};
    const parent = run([{ fd: 3, id: 1 }], { 'fdinfo/3': FLOCK }, true, 11, tree);
    const child = run([{ fd: 5, id: 1 }], { 'fdinfo/5': FLOCK }, true, 12, tree);
    const another = run([{ fd: 5, id: 1 }], { 'fdinfo/5': FLOCK }, true, 13, tree);
    expect([...parent.locks, ...child.locks, ...another.locks]).toEqual([
      { flag: 2, type: 1, pid: 12, fd: 5, start: 0n, len: 0n },
    ]);
  });

  test('of processes with one table the one that took a lock takes it again', () => {
    const taken = (fdinfo: string, holders?: number[]) =>
      (run([{ fd: 3, id: 1 }], { 'fdinfo/3': fdinfo }, true, 11, {}, holders).locks as FileLockEntry[])[0]!.pid;
    for (const lock of [POSIX, FLOCK, LEASE]) {
      expect(taken(lock, [11, 12])).toBe(12);
      expect(taken(lock, [11, 13])).toBe(11);
      expect(taken(lock)).toBe(11);
    }
  });

  test('POSIX locks are those of each process', () => {
    const tree = {};
    expect(run([{ fd: 3, id: 1 }], { 'fdinfo/3': POSIX }, true, 12, tree).locks).toHaveLength(1);
    expect(run([{ fd: 3, id: 1 }], { 'fdinfo/3': POSIX }, true, 13, tree).locks).toHaveLength(1);
  });
});

describe('plan', () => {
  const lock = (more: Partial<FileLockEntry> = {}): FileLockEntry => ({
    flag: 1,
    type: 1,
    pid: 12,
    fd: 3,
    start: 10n,
    len: 5n,
    ...more,
  });

  function compile(locks: FileLockEntry[], fileLocks = true) {
    const heads: PassHead[] = [];
    const program = new ProgramBuilder();
    const plan = {
      pid: 12,
      pass: (head: PassHead, emit: (program: Program) => void) => {
        heads.push(head);
        emit(program);
      },
    } as unknown as TaskPlan;
    const context = { options: { fileLocks } } as unknown as RestoreContext;
    locksHandler.plan({ locks } as unknown as TaskImages, plan, context);
    return { heads, program };
  }

  test('each kind is taken by its call, without waiting', () => {
    const { program } = compile([
      lock(),
      lock({ flag: 4, type: 0, fd: 4, start: 0n, len: 0n }),
      lock({ flag: 2, fd: 5 }),
      lock({ flag: 2, type: 0, fd: 6 }),
      lock({ flag: 8, type: 0, fd: 7 }),
    ]);
    expect(program.text()).toEqual([
      // struct flock: type, whence, start, length, pid.
      'fcntl(3, 6, &<01000000000000000a0000000000000005000000000000000000000000000000>)',
      'fcntl(4, 37, &<0000000000000000000000000000000000000000000000000000000000000000>)',
      'flock(5, 6)',
      'flock(6, 5)',
      'fcntl(7, 1024, 0)',
      'fcntl(7, 8, 0)',
    ]);
  });

  test('after everything that closes files, which would drop POSIX locks', () => {
    expect(compile([lock()]).heads).toMatchObject([{ stage: 'sigchld', needs: ['fs'] }]);
  });

  test('locks of other tasks, and none', () => {
    expect(compile([]).heads).toEqual([]);
    expect(compile([lock({ pid: 13 })], false).heads).toEqual([]);
  });

  test('without --file-locks', () => {
    expect(failure(() => compile([lock()], false))).toMatchObject({
      code: 'CRTS_FILE_LOCK',
      kind: 'refused',
      path: 'filelocks.img',
    });
  });

  test.each([
    [{ flag: 3 }, 'CRTS_IMAGE_FIELD'],
    [{ flag: 0 }, 'CRTS_IMAGE_FIELD'],
    [{ flag: 8, type: 5 }, 'CRTS_IMAGE_FIELD'],
    [{ flag: 2, type: 4 }, 'CRTS_IMAGE_FIELD'],
    [{ flag: 8, type: 2 }, 'CRTS_IMAGE_FIELD'],
    [{ type: 2 }, 'CRTS_IMAGE_FIELD'],
    [{ start: -1n }, 'CRTS_IMAGE_FIELD'],
    [{ len: -5n }, 'CRTS_IMAGE_FIELD'],
    [{ start: (1n << 63n) - 1n, len: 2n }, 'CRTS_IMAGE_FIELD'],
  ])('an image with %p', (more, code) => {
    expect(failure(() => compile([lock(more)])).code).toBe(code);
  });

  test('the last byte is in bounds', () => {
    expect(() => compile([lock({ start: (1n << 63n) - 1n, len: 1n })])).not.toThrow();
  });

  test('a lock that somebody else has, and a descriptor that cannot take it', () => {
    const fail = compile([lock()]).program.instructions[0]!.options.fail!;
    expect(fail('EAGAIN', -11n)).toMatchObject({ code: 'CRTS_FILE_LOCK_TAKEN', fd: 3 });
    expect(fail('EACCES', -13n)).toMatchObject({ code: 'CRTS_FILE_LOCK_TAKEN' });
    expect(fail('EBADF', -9n)).toMatchObject({ code: 'CRTS_FILE_LOCK_SET', errno: 'EBADF' });
  });
});
