/** What must be known before anything is opened: a frozen program that permits opens would stop crts too. */
import { readFileSync, readlinkSync } from 'node:fs';
import { descriptorNumbers } from '@crts/native-syscalls';
import type { CrtsError, FrozenTask, TaskStateHandler } from '@crts/plugin-api';
import { permissionMark } from './errors';
import { parseGroup } from './fdinfo';
import { PERMISSION_EVENTS } from './flags';

const LINK = /^anon_inode:\[?fanotify\]?$/;

export const permissionHandler: TaskStateHandler = {
  name: 'fd-fanotify',

  refuse(task: FrozenTask): CrtsError | undefined {
    const proc = `/proc/${task.hostPid}`;
    for (const fd of descriptorNumbers(task.hostPid, 'fanotify')) {
      if (!isGroup(`${proc}/fd/${fd}`)) continue;
      for (const mark of parseGroup(readFileSync(`${proc}/fdinfo/${fd}`, 'utf8')).marks) {
        if ((mark.mask & PERMISSION_EVENTS) === 0 || mark.kind === 'inode' || mark.kind === 'other') continue;
        return permissionMark({ pid: task.pid, fd }, mark.kind === 'mount' ? 'a mount' : 'a file system');
      }
    }
    return undefined;
  },
};

function isGroup(path: string): boolean {
  try {
    return LINK.test(readlinkSync(path));
  } catch {
    // A name that is too long for the link is of a file.
    return false;
  }
}
