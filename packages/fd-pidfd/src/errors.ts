import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'fd-pidfd';

export function badEntry(id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path: 'files.img',
    what: `pidfd_entry ${id}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function unknownFdinfo(pid: number, fd: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_FDINFO',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    fd,
    what: 'the kernel does not tell which process it refers to (Pid and NSpid of fdinfo)',
    hint: 'crts needs Linux 5.5 or newer; report the text of /proc/PID/fdinfo/FD.',
  });
}

export function foreignProcess(pid: number, fd: number, target: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_PIDFD_FOREIGN',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    fd,
    what:
      target === 0
        ? 'it refers to a process of another pid namespace'
        : `it refers to process ${target}, which is not part of the dump`,
    hint: 'Dump that process too, or dump when the program has closed it.',
  });
}

export function threadInUse(pid: number, fd: number | undefined, tid: number, how: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_PIDFD_THREAD',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    fd,
    what: `it refers to thread ${tid} alone (PIDFD_THREAD), which is no main thread, ${how}`,
    hint: 'Such a descriptor is opened when the threads are made, which is after that: dump at another moment.',
  });
}

export function notOpened(target: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_PIDFD',
    plugin: PLUGIN,
    what: `there is no process ${target} to refer to`,
    call: 'pidfd_open',
    errno,
    hint: 'ESRCH: the images contradict each other. EINVAL: PIDFD_THREAD needs Linux 6.9.',
  });
}
