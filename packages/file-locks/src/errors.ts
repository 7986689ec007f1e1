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

export function leaseNotBroken(fd: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_LEASE',
    plugin: PLUGIN,
    fd,
    what: 'a lease that somebody waited for the end of cannot be broken again',
    call: 'open',
    errno,
    hint: 'EROFS: whoever did has the file system mounted elsewhere, writable. None: the images do not fit the file.',
  });
}

export function leaseNotTaken(fd: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_LEASE',
    plugin: PLUGIN,
    fd,
    what: 'a lease that the task held cannot be taken again',
    call: 'fcntl(F_SETLEASE)',
    errno,
    hint: 'EAGAIN: somebody has the file open meanwhile (a read lease allows no writer, a write lease nobody else). Close it, then restore.',
  });
}

export function unsupportedLock(holder: Holder, lock: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_LOCK_KIND',
    kind: 'refused',
    plugin: PLUGIN,
    ...holder,
    what: `the task holds a lock of a kind that crts does not carry (${lock})`,
    hint: 'Dump when the program has released it.',
  });
}
