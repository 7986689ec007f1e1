import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'fd-eventfd';

export function badEntry(id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path: 'files.img',
    what: `eventfd_file_entry ${id}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function overflown(pid: number, fd: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_EVENTFD_OVERFLOW',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    fd,
    what: 'the kernel has counted it to its end, a state that no call makes again',
    hint: 'Dump when the program has read the counter.',
  });
}

export function unknownFdinfo(pid: number, fd: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_FDINFO',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    fd,
    what: 'the kernel does not tell the count (eventfd-count of fdinfo)',
    hint: 'crts needs Linux 3.8 or newer; report the text of /proc/PID/fdinfo/FD.',
  });
}
