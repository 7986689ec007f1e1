import { ProgramBuilder } from '@crts/native-syscalls';
import {
  CrtsError,
  type FrozenTask,
  type FrozenThread,
  type PassHead,
  type Program,
  type RestoreContext,
  type TaskImages,
  type TaskPlan,
  type ThreadPlan,
} from '@crts/plugin-api';
import { fsHandler } from './handler';

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
  function frozen(status: Record<string, string>, links: Record<string, string> = { cwd: '/srv/app', root: '/' }) {
    const added: unknown[] = [];
    const task = {
      pid: 12,
      hostPid: 4312,
      images: { fs: {} },
      facts: { status: new Map(Object.entries(status)) },
      readLink: (name: string) => links[name],
      files: { addPath: (_task: unknown, file: unknown) => added.push(file) },
    } as unknown as FrozenTask;
    return { task, added };
  }

  test('directories by their links, the umask from the status', () => {
    const { task, added } = frozen({ Umask: '0027' });
    expect(fsHandler.refuse!(task)).toBeUndefined();
    fsHandler.dump(task, new ProgramBuilder())();
    expect(task.images.fs).toEqual({ cwd_id: 1, root_id: 2, umask: 0o27 });
    expect(added).toEqual([
      { path: '/srv/app', deleted: false, via: '/proc/4312/cwd', flags: 0o200000, role: 'working directory' },
      { path: '/', deleted: false, via: '/proc/4312/root', flags: 0o200000, role: 'root directory' },
    ]);
  });

  test('a umask of zero', () => {
    const { task } = frozen({ Umask: '0000' });
    fsHandler.dump(task, new ProgramBuilder())();
    expect(task.images.fs.umask).toBe(0);
  });

  test('of a thread that has its own', () => {
    const { task, added } = frozen(
      { Umask: '0027' },
      { 'task/4313/cwd': '/srv/jail/sub', 'task/4313/root': '/srv/jail' },
    );
    const thread = (hasOwnDirectories: boolean) => ({
      task,
      tid: 13,
      hostTid: 4313,
      hasOwnDirectories,
      facts: { status: new Map([['Umask', '0077']]) },
      core: { thread_core: { crts: { timer_slack_ns: 5n } } } as { thread_core: { crts: object } },
    });
    const [plain, own] = [thread(false), thread(true)];
    const read = fsHandler.dumpThread(new ProgramBuilder());
    for (const one of [plain, own]) read(one as unknown as FrozenThread);
    expect(plain.core.thread_core.crts).toEqual({ timer_slack_ns: 5n });
    expect(own.core.thread_core.crts).toEqual({ timer_slack_ns: 5n, fs: { cwd_id: 1, root_id: 2, umask: 0o77 } });
    expect(added).toMatchObject([
      { path: '/srv/jail/sub', via: '/proc/4312/task/4313/cwd' },
      { path: '/srv/jail', via: '/proc/4312/task/4313/root' },
    ]);
  });

  test.each([{}, { Umask: '' }, { Umask: 'x' }])('no umask is never taken for a usual one: %p', (status) => {
    expect(fsHandler.refuse!(frozen(status as Record<string, string>).task)).toMatchObject({
      code: 'CRTS_NO_UMASK',
      kind: 'refused',
      pid: 12,
    });
  });
});

describe('plan', () => {
  const paths: Record<number, string> = { 1: '/srv/app', 2: '/', 3: '/srv/jail' };

  function compile(fs: Record<string, unknown>) {
    const heads: PassHead[] = [];
    const program = new ProgramBuilder();
    const plan = {
      pid: 12,
      pass: (head: PassHead, emit: (program: Program) => void) => {
        heads.push(head);
        emit(program);
      },
    } as unknown as TaskPlan;
    const context = {
      files: {
        pathOf: (id: number) => paths[id],
        open: (into: Program, id: number) => into.call('openat', [-100, into.cstring(paths[id]!), 0]),
      },
    } as unknown as RestoreContext;
    fsHandler.plan({ fs } as unknown as TaskImages, plan, context);
    return { heads, program };
  }

  test('working directory and umask', () => {
    const { heads, program } = compile({ cwd_id: 1, root_id: 2, umask: 0o27 });
    expect(heads).toMatchObject([{ stage: 'sigchld', provides: ['fs'], entry: 'fs-12.img' }]);
    expect(program.text()).toEqual(['openat(AT_FDCWD, "/srv/app", 0)', 'fchdir($0)', 'close($0)', 'umask(23)']);
  });

  test('another root: the working directory is opened before and entered after', () => {
    expect(compile({ cwd_id: 1, root_id: 3, umask: 0 }).program.text()).toEqual([
      'openat(AT_FDCWD, "/srv/app", 0)',
      'openat(AT_FDCWD, "/srv/jail", 0)',
      'fchdir($1)',
      'chroot(".")',
      'close($1)',
      'fchdir($0)',
      'close($0)',
      'umask(0)',
    ]);
  });

  test('an image without umask', () => {
    expect(compile({ cwd_id: 1, root_id: 2 }).program.text().at(-1)).toBe('umask(18)');
  });

  test.each([
    [{ cwd_id: 1, root_id: 2, umask: 0o1000 }, 'CRTS_IMAGE_FIELD', 'umask'],
    [{ cwd_id: 9, root_id: 2 }, 'CRTS_IMAGE_REFERENCE', 'cwd_id'],
    [{ cwd_id: 1, root_id: 9 }, 'CRTS_IMAGE_REFERENCE', 'root_id'],
  ])('an image with %p', (fs, code, field) => {
    const error = failure(() => compile(fs));
    expect(error.code).toBe(code);
    expect(error.what).toContain(field);
  });

  test('a directory that cannot be entered is named', () => {
    const { instructions } = compile({ cwd_id: 1, root_id: 3 }).program;
    const errors = [2, 3, 5].map((index) => instructions[index]!.options.fail!('ENOTDIR', -20n));
    expect(errors).toMatchObject([
      { code: 'CRTS_DIRECTORY', path: '/srv/jail', call: 'fchdir', errno: 'ENOTDIR' },
      { code: 'CRTS_DIRECTORY', path: '/srv/jail', call: 'chroot' },
      { code: 'CRTS_DIRECTORY', path: '/srv/app', call: 'fchdir' },
    ]);
  });

  describe('of a thread', () => {
    function compileThread(fs: object | undefined, isMain = false) {
      const program = new ProgramBuilder();
      const lent: string[] = [];
      const plan = {
        pid: 12,
        tid: 13,
        isMain,
        pass: (_: PassHead, emit: (into: Program) => void) => emit(program),
        lendFd: ({ what }: PassHead) => 99 + lent.push(what),
      } as unknown as ThreadPlan;
      const context = { files: { pathOf: (id: number) => paths[id] } } as unknown as RestoreContext;
      fsHandler.planThread({ thread_core: { crts: { fs } } }, plan, context);
      return { lent, text: program.text() };
    }

    test('leaves those of its process, and enters what that lends it', () => {
      expect(compileThread({ cwd_id: 1, root_id: 2, umask: 0o77 })).toEqual({
        lent: ['open / for thread 13', 'open /srv/app for thread 13'],
        text: ['unshare(512)', 'fchdir(100)', 'chroot(".")', 'fchdir(101)', 'umask(63)'],
      });
    });

    test('nothing where it has those of its process, and of the main thread', () => {
      expect(compileThread(undefined).text).toEqual([]);
      expect(compileThread({ cwd_id: 1, root_id: 2 }, true).text).toEqual([]);
    });

    test.each([
      [{ cwd_id: 1, root_id: 2, umask: 0o1000 }, 'CRTS_IMAGE_FIELD'],
      [{ cwd_id: 9, root_id: 2 }, 'CRTS_IMAGE_REFERENCE'],
    ])('an image with %p', (fs, code) => {
      expect(failure(() => compileThread(fs))).toMatchObject({ code });
    });
  });
});
