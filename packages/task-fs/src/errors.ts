import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'task-fs';

export function badReference(field: string, id: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_REFERENCE',
    plugin: PLUGIN,
    what: `fs_entry.${field}: file ${id} has no path`,
    hint: 'The image set is damaged, or mixed from several dumps.',
  });
}

export function badUmask(umask: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    what: `fs_entry.umask: 0${umask.toString(8)} has more than permission bits`,
    hint: 'The image is damaged.',
  });
}

export function noUmask(pid: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_NO_UMASK',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    what: 'the kernel does not tell the umask (no field Umask in /proc/PID/status)',
    hint: 'crts needs Linux 4.7.',
  });
}

export function notEntered(call: string, path: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_DIRECTORY',
    plugin: PLUGIN,
    path,
    what: 'the task cannot be put into the directory that it was in',
    call,
    errno,
    hint: 'ENOTDIR: the images name something else than a directory. EPERM: chroot needs CAP_SYS_CHROOT.',
  });
}
