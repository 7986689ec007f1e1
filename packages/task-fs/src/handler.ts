import type { CoreEntry, FsEntry } from '@crts/image-io';
import type {
  Arg,
  CrtsError,
  FrozenTask,
  FrozenThread,
  ImageRecord,
  Program,
  RestoreContext,
  TaskImages,
  TaskPlan,
  TaskStateHandler,
  ThreadFacts,
  ThreadPlan,
} from '@crts/plugin-api';
import { badReference, badUmask, notEntered, noUmask } from './errors';

const O_DIRECTORY = 0o200000;
/** Of unshare(2), include/uapi/linux/sched.h. */
const CLONE_FS = 0x200;
const UMASK_MAX = 0o777;
/** What a shell gives its programs, for images without: the field is optional in the format. */
const UMASK_USUAL = 0o22;

export const fsHandler = {
  name: 'task-fs',

  refuse(task: FrozenTask): CrtsError | undefined {
    return umaskOf(task) === undefined ? noUmask(task.pid) : undefined;
  },

  dump(task: FrozenTask, _program: Program) {
    return () => {
      Object.assign(task.images.fs, entryOf(task, task));
    };
  },

  dumpThread(_program: Program) {
    return (thread: FrozenThread) => {
      if (!thread.hasOwnDirectories) return;
      const core = (thread.core as CoreEntry).thread_core!;
      core.crts = { ...core.crts, fs: entryOf(thread.task, thread, `task/${thread.hostTid}/`) };
    };
  },

  plan(images: TaskImages, plan: TaskPlan, context: RestoreContext): void {
    const fs = images.fs as FsEntry;
    const umask = fs.umask ?? UMASK_USUAL;
    if (umask > UMASK_MAX) throw badUmask(umask);
    const root = directoryPath(context, fs.root_id, 'root_id');
    const cwd = directoryPath(context, fs.cwd_id, 'cwd_id');
    // Paths in the images are the engine's view, so every file must be open before the root changes.
    plan.pass(
      {
        plugin: 'task-fs',
        stage: 'sigchld',
        what: `root ${root}, working directory ${cwd}`,
        entry: `fs-${plan.pid}.img`,
        provides: ['fs'],
      },
      (program) => {
        // Opened before the root changes, entered after: the working directory may lie outside the root.
        const directory = context.files.open(program, fs.cwd_id);
        if (root !== '/') {
          const opened = context.files.open(program, fs.root_id);
          changeRoot(program, opened, root);
          program.call('close', [opened]);
        }
        enter(program, directory, cwd);
        program.call('close', [directory]);
        program.call('umask', [umask]);
      },
    );
  },

  planThread(core: ImageRecord, plan: ThreadPlan, context: RestoreContext): void {
    const fs = (core as CoreEntry).thread_core?.crts?.fs;
    if (fs === undefined || plan.isMain) return;
    const umask = fs.umask ?? UMASK_USUAL;
    if (umask > UMASK_MAX) throw badUmask(umask);
    const lend = (id: number, role: string) => {
      const path = directoryPath(context, id, role);
      const head = { plugin: 'task-fs', what: `open ${path} for thread ${plan.tid}`, entry: `core-${plan.tid}.img` };
      return { path, fd: plan.lendFd(head, (program) => context.files.open(program, id)) };
    };
    const root = lend(fs.root_id, 'root_id');
    const cwd = lend(fs.cwd_id, 'cwd_id');
    plan.pass(
      {
        plugin: 'task-fs',
        stage: 'sigchld',
        what: `root ${root.path}, working directory ${cwd.path} of its own`,
        entry: `core-${plan.tid}.img`,
      },
      (program) => {
        program.call('unshare', [CLONE_FS]);
        // Where it is `/` too: the thread begins in the root of its process, which may be another.
        changeRoot(program, root.fd, root.path);
        enter(program, cwd.fd, cwd.path);
        program.call('umask', [umask]);
      },
    );
  },
} satisfies TaskStateHandler;

/** By descriptor, so that what the plugin of files validated is what becomes the root. */
function changeRoot(program: Program, root: Arg, path: string): void {
  enter(program, root, path);
  program.call('chroot', [program.cstring('.')], {
    what: `make ${path} the root`,
    fail: (errno) => notEntered('chroot', path, errno),
  });
}

/** `of`: under /proc/PID, ending in a slash; the process itself unless told. */
function entryOf(task: FrozenTask, { facts }: { readonly facts: Pick<ThreadFacts, 'status'> }, of = ''): FsEntry {
  const umask = umaskOf({ facts });
  if (umask === undefined) throw noUmask(task.pid);
  return {
    cwd_id: addDirectory(task, `${of}cwd`, 'working directory'),
    root_id: addDirectory(task, `${of}root`, 'root directory'),
    umask,
  };
}

function enter(program: Program, directory: Parameters<Program['call']>[1][number], path: string): void {
  program.call('fchdir', [directory], { what: `enter ${path}`, fail: (errno) => notEntered('fchdir', path, errno) });
}

/** Octal; man 5 proc_pid_status. */
function umaskOf({ facts }: { readonly facts: Pick<ThreadFacts, 'status'> }): number | undefined {
  const text = facts.status.get('Umask');
  return text !== undefined && /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : undefined;
}

/** The plugin of files refuses a directory that was removed; it knows a name that only ends in " (deleted)" from one. */
function addDirectory(task: FrozenTask, link: string, role: string): number {
  return task.files.addPath(task, {
    path: task.readLink(link),
    deleted: false,
    via: `/proc/${task.hostPid}/${link}`,
    flags: O_DIRECTORY,
    role,
  });
}

function directoryPath(context: RestoreContext, id: number, field: string): string {
  const path = context.files.pathOf(id);
  if (path === undefined) throw badReference(field, id);
  return path;
}
