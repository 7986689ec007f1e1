import { CrtsError } from '@crts/plugin-api';

export function unknownFdinfo(pid: number, fd: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_FDINFO',
    kind: 'refused',
    plugin: 'fd-signalfd',
    pid,
    fd,
    what: 'the kernel does not tell which signals it is for (sigmask of fdinfo)',
    hint: 'crts needs Linux 3.8 or newer; report the text of /proc/PID/fdinfo/FD.',
  });
}
