import { CrtsError } from '@crts/plugin-api';

interface Holder {
  readonly pid: number;
  readonly fd: number;
  readonly path: string;
}

const PLUGIN = 'file-locks';

export function badLock(fd: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path: 'filelocks.img',
    what: `lock of fd ${fd}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function locked(holder: Holder): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_LOCK',
    kind: 'refused',
    plugin: PLUGIN,
    ...holder,
    what: 'the task holds a lock on the file',
    hint: 'Pass --file-locks to dump and restore.',
  });
}

export function lockedImages(pid: number, count: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_LOCK',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    path: 'filelocks.img',
    what: `the images hold ${count} file lock(s)`,
    hint: 'Pass --file-locks to restore as well.',
  });
}

export function lockNotTaken(fd: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_LOCK_SET',
    plugin: PLUGIN,
    fd,
    what: 'a lock that the task held cannot be taken again',
    errno,
    hint: 'EBADF: the images give the descriptor to no file that can be locked so. ENOLCK: the file system has no more locks.',
  });
}

export function lockTaken(fd: number, errno: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_LOCK_TAKEN',
    plugin: PLUGIN,
    fd,
    what: 'somebody else has a lock that the task held',
    errno,
    hint: 'Another process locked the file since the dump, or shares the lock (a shell with flock): see lslocks, end it first.',
  });
}

export function noSuchKind(lock: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_LOCK_KIND',
    kind: 'refused',
    plugin: PLUGIN,
    path: 'filelocks.img',
    what: `${lock}, which crts does not carry yet`,
    hint: 'Restore these images with criu for now.',
  });
}

export function unsupportedLock(holder: Holder, lock: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_LOCK_KIND',
    kind: 'refused',
    plugin: PLUGIN,
    ...holder,
    what: `the task holds a lock of a kind that crts does not carry yet (${lock})`,
    hint: 'Dump when the program has released it.',
  });
}
