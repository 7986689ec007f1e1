import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'task-cgroups';

export function badCgroups(field: string, reason: string, code = 'CRTS_IMAGE_FIELD'): CrtsError {
  return new CrtsError({ code, plugin: PLUGIN, what: `${field}: ${reason}`, hint: 'The image is damaged.' });
}

export function cgroupFrozen(pid: number, path: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_CGROUP_FROZEN',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    path,
    what: 'the cgroup of the task is frozen, and so would be who builds it in there',
    hint: 'Thaw the cgroup, or restore with --manage-cgroups=ignore.',
  });
}

export function cgroupMissing(pid: number, hierarchy: string, path: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_CGROUP_MISSING',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    path,
    what: `the task was in a cgroup that is gone (${hierarchy === '' ? 'version 2' : hierarchy})`,
    hint: 'Make it, or restore with --manage-cgroups=soft: the task then stays in the cgroup of crts.',
  });
}

export function noHierarchy(hierarchy: string, call: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_CGROUP_MOVE',
    plugin: PLUGIN,
    what: `the cgroups of ${hierarchy === '' ? 'version 2' : hierarchy} cannot be mounted`,
    call,
    errno,
    hint: 'It needs CAP_SYS_ADMIN. With --manage-cgroups=ignore cgroups are left alone.',
  });
}

export function notMoved(pid: number, path: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_CGROUP_MOVE',
    plugin: PLUGIN,
    pid,
    path,
    what: 'the task cannot be put into its cgroup',
    call: 'write',
    errno,
    hint:
      errno === 'EBUSY'
        ? 'The cgroup has controllers for those below it (cgroup.subtree_control), and takes no processes.'
        : 'See man 7 cgroups. With --manage-cgroups=ignore the task stays in the cgroup of crts.',
  });
}
