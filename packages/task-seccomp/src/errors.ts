import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'task-seccomp';

export function badFilters(field: string, reason: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    what: `${field}: ${reason}`,
    hint: 'The image is damaged.',
  });
}

export function notInstalled(tid: number, filter: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_SECCOMP_INSTALL',
    plugin: PLUGIN,
    pid: tid,
    what: `seccomp filter ${filter} cannot be installed`,
    call: 'seccomp',
    errno,
    hint: 'It needs CAP_SYS_ADMIN, and that crts itself runs under no filter that forbids it.',
  });
}

export function notReadable(tid: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_SECCOMP_READ',
    kind: 'refused',
    plugin: PLUGIN,
    pid: tid,
    what: 'the seccomp filters of the thread cannot be read',
    call: 'ptrace(PTRACE_SECCOMP_GET_FILTER)',
    errno,
    hint: 'It needs CAP_SYS_ADMIN, and that crts itself does not run under seccomp.',
  });
}

export function supervised(tid: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_SECCOMP_NOTIFY',
    kind: 'refused',
    plugin: PLUGIN,
    pid: tid,
    what: 'a seccomp filter asks a supervisor (SECCOMP_RET_USER_NOTIF), whose descriptor no restore can make again',
    hint: 'Dump before the supervised program starts, or start it without its supervisor.',
  });
}

export function unknownMode(tid: number, mode: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_SECCOMP_MODE',
    kind: 'refused',
    plugin: PLUGIN,
    pid: tid,
    what: `seccomp mode ${mode} is not known`,
    hint: 'Use a newer version of crts.',
  });
}
