import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'fd-external';

export function badEntry(id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path: 'files.img',
    what: `ext_file_entry ${id}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function notHandedBack(key: string, what: string, how: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_EXTERNAL',
    kind: 'refused',
    plugin: PLUGIN,
    path: key,
    what: `${what} was left outside the dump (--external) and is not handed back`,
    hint: `${how} as descriptor N of crts, and pass --inherit-fd 'fd[N]:${key}'.`,
  });
}

export function noSocket(key: string, fd: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_INHERIT_KIND',
    kind: 'refused',
    plugin: PLUGIN,
    fd,
    path: key,
    what: 'the descriptor of crts that is handed back for it is no socket',
    hint: 'Pass the number of a socket.',
  });
}

export function otherSocket(key: string, fd: number, was: string, is: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_INHERIT_KIND',
    kind: 'refused',
    plugin: PLUGIN,
    fd,
    path: key,
    what: `the socket that is handed back is of another kind: ${is}; it was ${was}`,
    hint: 'The numbers are those of socket(2).',
  });
}

export function otherDevice(path: string, was: string, found: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_DEVICE_NAME',
    plugin: PLUGIN,
    path,
    what: `a ${was} device was left outside, and this is ${found === 0 ? 'not there' : 'none'}`,
    hint: "Name another one: --external 'dev[NAME]:/dev/...'.",
  });
}

export function notOpened(path: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_OPEN',
    plugin: PLUGIN,
    path,
    what: 'the device that stands for one left outside cannot be opened',
    errno,
    hint: 'EACCES: the file system is mounted nodev, or a cgroup forbids the device. ENXIO: there is no such device.',
  });
}
