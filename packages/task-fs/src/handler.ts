import type { FsEntry } from '@crts/image-io';
import {
  CrtsError,
  type FrozenTask,
  type Program,
  type RestoreContext,
  type TaskImages,
  type TaskPlan,
  type TaskStateHandler,
} from '@crts/plugin-api';

const O_DIRECTORY = 0o200000;
const UMASK_MAX = 0o777;

export const fsHandler: TaskStateHandler = {
  name: 'task-fs',

  dump(task: FrozenTask, _program: Program) {
    return () => {
      const fs = task.images.fs as FsEntry;
      fs.cwd_id = addDirectory(task, 'cwd', 'working directory');
      fs.root_id = addDirectory(task, 'root', 'root directory');
      fs.umask = Number.parseInt(task.facts.status.get('Umask') ?? '22', 8);
    };
  },

  plan(images: TaskImages, plan: TaskPlan, context: RestoreContext): void {
    const fs = images.fs as FsEntry;
    const umask = fs.umask ?? 0o22;
    if (umask > UMASK_MAX)
      throw new CrtsError({
        code: 'CRTS_IMAGE_FIELD',
        plugin: 'task-fs',
        what: `fs_entry.umask: 0${umask.toString(8)} has more than permission bits`,
      });
    const root = directoryPath(context, fs.root_id, 'root_id');
    const cwd = directoryPath(context, fs.cwd_id, 'cwd_id');
    // Paths in the images are the engine's view, so every file must be open before the root changes.
    plan.pass(
      { plugin: 'task-fs', stage: 'sigchld', what: `root ${root}, working directory ${cwd}`, provides: ['fs'] },
      (program) => {
        const directory = context.files.open(program, fs.cwd_id);
        if (root !== '/') program.call('chroot', [program.cstring(root)], { what: `chroot to ${root}` });
        program.call('fchdir', [directory], { what: `enter ${cwd}` });
        program.call('close', [directory]);
        program.call('umask', [umask]);
      },
    );
  },
};

function addDirectory(task: FrozenTask, link: 'cwd' | 'root', role: string): number {
  const text = task.readLink(link);
  const deleted = text.endsWith(' (deleted)');
  return task.files.addPath(task, {
    path: deleted ? text.slice(0, -' (deleted)'.length) : text,
    deleted,
    via: `/proc/${task.hostPid}/${link}`,
    flags: O_DIRECTORY,
    role,
  });
}

function directoryPath(context: RestoreContext, id: number, field: string): string {
  const path = context.files.pathOf(id);
  if (path === undefined)
    throw new CrtsError({
      code: 'CRTS_IMAGE_REFERENCE',
      plugin: 'task-fs',
      what: `fs_entry.${field}: file ${id} has no path`,
    });
  return path;
}
