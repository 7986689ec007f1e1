import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'fd-inotify';

interface Holder {
  readonly pid: number;
  readonly fd: number;
}

export function badEntry(id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path: 'files.img',
    what: `inotify_file_entry ${id}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function eventsQueued(holder: Holder, sizeBytes: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_INOTIFY_EVENTS',
    kind: 'refused',
    plugin: PLUGIN,
    ...holder,
    what: `${sizeBytes} bytes of events are queued that the program has not read`,
    hint: 'Dump when it has read them, or say with --inotify-events drop or provoke what becomes of them.',
  });
}

export function watchGone(wd: number, path: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_WATCH_GONE',
    plugin: PLUGIN,
    path,
    what: `what watch ${wd} watches is not there any more`,
    hint: 'Neither its path nor its file handle leads to it. Put a file or directory under the path, then restore.',
  });
}

export function watchLost(holder: Holder, wd: number, device: string, ino: bigint): CrtsError {
  return new CrtsError({
    code: 'CRTS_WATCH_LOST',
    kind: 'refused',
    plugin: PLUGIN,
    ...holder,
    what: `no name is found for what watch ${wd} watches: inode ${ino} of device ${device}`,
    hint: 'Its file system opens no handles: say with --irmap-scan-path DIR where to search.',
  });
}

export function watchNotAdded(wd: number, path: string, errno: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_WATCH_ADD',
    plugin: PLUGIN,
    path,
    what: `watch ${wd} cannot be added`,
    call: 'inotify_add_watch',
    errno,
    hint:
      errno === 'ENOSPC'
        ? 'The user has no more watches: raise /proc/sys/fs/inotify/max_user_watches.'
        : 'The path must lead where it led at the dump.',
  });
}

export function watchOtherNumber(wd: number, path: string, answer: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_WATCH_NUMBER',
    plugin: PLUGIN,
    path,
    what: `watch ${wd} comes back as watch ${answer}`,
    hint: 'Another watch of the same instance watches the same file: two paths of the images lead to one file now.',
  });
}
