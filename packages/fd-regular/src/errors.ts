import { CrtsError } from '@crts/plugin-api';

interface Subject {
  readonly pid?: number | undefined;
  readonly fd?: number | undefined;
  readonly path: string;
}

const PLUGIN = 'fd-regular';

export function unlinked(file: Subject): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_UNLINKED',
    kind: 'refused',
    plugin: PLUGIN,
    ...file,
    what: 'the file was deleted while it is in use; ghost files are not carried yet',
    hint: 'Dump when the program has closed it, or link it back to its name first (ln -L /proc/PID/fd/FD NAME).',
  });
}

export function replaced(file: Subject): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_REPLACED',
    kind: 'refused',
    plugin: PLUGIN,
    ...file,
    what: 'another file has this name now (or it lies on a mount that crts does not see), so the name would open the wrong one',
    hint: 'Let the program reopen the file, then dump.',
  });
}

export function unreachable(file: Subject, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_UNREACHABLE',
    kind: 'refused',
    plugin: PLUGIN,
    ...file,
    what: 'the file cannot be reached by its name',
    call: 'stat',
    errno,
    hint: 'It may lie in another mount namespace or under an over-mounted directory.',
  });
}

export function locked(file: Subject): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_LOCK',
    kind: 'refused',
    plugin: PLUGIN,
    ...file,
    what: 'the task holds a lock on the file',
    hint: 'Pass --file-locks to dump and restore.',
  });
}

export function unsupportedLock(file: Subject, kind: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_LOCK_KIND',
    kind: 'refused',
    plugin: PLUGIN,
    ...file,
    what: `a ${kind} on the file, which crts does not carry yet`,
    hint: 'Dump when the program has released it.',
  });
}

export function gone(path: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_GONE',
    plugin: PLUGIN,
    path,
    what: 'a file that the images name cannot be opened',
    errno,
    hint: 'Put the file back where it was when the program was dumped.',
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

export function badEntry(id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path: 'files.img',
    what: `reg_file_entry ${id}: ${what}`,
    hint: 'The image is damaged.',
  });
}
