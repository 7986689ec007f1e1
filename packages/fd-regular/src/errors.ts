import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'fd-regular';

/** The image is damaged, or was made to do harm. */
export function badEntry(id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path: 'files.img',
    what: `reg_file_entry ${id}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function changed(path: string, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_CHANGED',
    plugin: PLUGIN,
    path,
    what: `the file changed since the dump: ${what}`,
    hint: 'Restore the file as it was; the program has parts of it in memory.',
  });
}

export function gone(path: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_GONE',
    plugin: PLUGIN,
    path,
    what: 'a file that the images name does not exist',
    errno: 'ENOENT',
    hint: 'Put the file back where it was when the program was dumped.',
  });
}

export function modeChanged(path: string, now: number, before: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_MODE',
    plugin: PLUGIN,
    path,
    what: `the file's mode changed since the dump: 0${now.toString(8)}, was 0${before.toString(8)}`,
    hint: 'chmod it back, or pass --skip-file-rwx-check.',
  });
}

export function notOpened(path: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_OPEN',
    plugin: PLUGIN,
    path,
    what: 'a file that the images name cannot be opened',
    errno,
    hint: 'It must be open-able by root as the program had it open: see man 2 open for the errno.',
  });
}

export function notOpenedAgain(subject: { pid: number; fd: number; path: string }, why: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_PROTECTED',
    kind: 'refused',
    plugin: PLUGIN,
    ...subject,
    what: `the file was made ${why} while it was open for writing: nobody can open it so again`,
    hint: `Take the flag away (chattr -${why === 'immutable' ? 'i' : 'a'}), or leave the file outside with --external 'file[MNT:INODE]'.`,
  });
}

export function notSought(path: string, position: bigint, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_SEEK',
    plugin: PLUGIN,
    path,
    what: `the offset ${position} of the file cannot be set`,
    call: 'lseek',
    errno,
    hint: 'The filesystem gives other offsets than the one that the program was dumped on.',
  });
}

export function otherMountNamespace(path: string, mntId: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_MOUNT',
    kind: 'refused',
    plugin: PLUGIN,
    path,
    what: `the file lies on mount ${mntId} of a mount namespace that was dumped with it, which crts does not remake yet`,
    hint: 'Restore these images with criu for now.',
  });
}
