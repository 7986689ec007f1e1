import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'fd-fanotify';

export interface Holder {
  readonly pid: number;
  readonly fd: number;
}

export function badEntry(id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path: 'files.img',
    what: `fanotify_file_entry ${id}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function eventsQueued(holder: Holder, sizeBytes: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_FANOTIFY_EVENTS',
    kind: 'refused',
    plugin: PLUGIN,
    ...holder,
    what: `${sizeBytes} bytes of events are queued that the program has not read`,
    hint: 'Dump when it has read them, or let them go with --inotify-events drop.',
  });
}

export function markGone(path: string | undefined, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_MARK_GONE',
    plugin: PLUGIN,
    path,
    what: `${what} that is marked is not there any more`,
    hint: 'Neither its path nor its file handle leads to it. Put one under the path, then restore.',
  });
}

export function markKind(holder: Holder, line: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_FANOTIFY_MARK',
    kind: 'refused',
    plugin: PLUGIN,
    ...holder,
    what: `a mark of a kind that crts does not carry (${line})`,
    hint: 'Marks on inodes, mounts and file systems are carried. Dump when the program has removed it.',
  });
}

export function markLost(holder: Holder, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_MARK_LOST',
    kind: 'refused',
    plugin: PLUGIN,
    ...holder,
    what: `no name is found for what is marked: ${what}`,
    hint: 'Is it on a mount that crts does not see? For a file system that opens no handles: --irmap-scan-path DIR.',
  });
}

export function markNotAdded(path: string, errno: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_MARK_ADD',
    plugin: PLUGIN,
    path,
    what: 'a mark cannot be added',
    call: 'fanotify_mark',
    errno,
    hint:
      errno === 'ENOSPC'
        ? 'The user has no more marks: raise /proc/sys/fs/fanotify/max_user_marks.'
        : 'The path must lead where it led at the dump.',
  });
}

export function permissionMark(holder: Holder, where: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_FANOTIFY_PERMISSION',
    kind: 'refused',
    plugin: PLUGIN,
    ...holder,
    what: `the program decides who may open or read files of ${where}`,
    hint: 'While it is frozen it answers nobody, crts included. Dump when it has removed the mark.',
  });
}

export function permissionPending(holder: Holder): CrtsError {
  return new CrtsError({
    code: 'CRTS_FANOTIFY_PERMISSION',
    kind: 'refused',
    plugin: PLUGIN,
    ...holder,
    what: 'somebody waits for the permission of the program to open or read a file',
    hint: 'Try again when it has answered.',
  });
}
