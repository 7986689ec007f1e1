import type { FsEntry } from '@crts/image-io';
import type {
  CrtsError,
  FrozenTask,
  Program,
  RestoreContext,
  TaskImages,
  TaskPlan,
  TaskStateHandler,
} from '@crts/plugin-api';
import { badReference, badUmask, notEntered, noUmask } from './errors';

const O_DIRECTORY = 0o200000;
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
      const fs = task.images.fs as FsEntry;
      fs.cwd_id = addDirectory(task, 'cwd', 'working directory');
      fs.root_id = addDirectory(task, 'root', 'root directory');
      const umask = umaskOf(task);
      if (umask === undefined) throw noUmask(task.pid);
      fs.umask = umask;
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
        if (root !== '/') changeRoot(program, context, fs.root_id, root);
        enter(program, directory, cwd);
        program.call('close', [directory]);
        program.call('umask', [umask]);
      },
    );
  },
} satisfies TaskStateHandler;

/** By descriptor, so that what the plugin of files validated is what becomes the root. */
function changeRoot(program: Program, context: RestoreContext, id: number, path: string): void {
  const root = context.files.open(program, id);
  enter(program, root, path);
  program.call('chroot', [program.cstring('.')], {
    what: `make ${path} the root`,
    fail: (errno) => notEntered('chroot', path, errno),
  });
  program.call('close', [root]);
}

function enter(program: Program, directory: Parameters<Program['call']>[1][number], path: string): void {
  program.call('fchdir', [directory], { what: `enter ${path}`, fail: (errno) => notEntered('fchdir', path, errno) });
}

/** Octal; man 5 proc_pid_status. */
function umaskOf(task: FrozenTask): number | undefined {
  const text = task.facts.status.get('Umask');
  return text !== undefined && /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : undefined;
}

/** The plugin of files refuses a directory that was removed; it knows a name that only ends in " (deleted)" from one. */
function addDirectory(task: FrozenTask, link: 'cwd' | 'root', role: string): number {
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
