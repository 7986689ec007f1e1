import { CrtsError } from '@crts/plugin-api';

interface Subject {
  readonly pid: number;
  readonly fd: number;
  readonly path: string;
}

const PLUGIN = 'fd-tty';

export function badTerminal(path: string, id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path,
    what: `terminal ${id}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function externalTerminal(subject: Subject): CrtsError {
  return new CrtsError({
    code: 'CRTS_TTY_EXTERNAL',
    kind: 'refused',
    plugin: PLUGIN,
    ...subject,
    what: 'a terminal whose other side is not part of the dump',
    hint:
      'Pass --shell-job to dump and restore: the program then gets the terminal that the restore runs on. Or dump with ' +
      "--external 'tty[RDEV:DEV]' (device numbers of stat, in hex) and hand one back: --inherit-fd 'fd[N]:tty[RDEV:DEV]'.",
  });
}

export function hungUp(subject: Partial<Subject>): CrtsError {
  return new CrtsError({
    code: 'CRTS_TTY_HUNG',
    kind: 'refused',
    plugin: PLUGIN,
    ...subject,
    what: 'the terminal is hung up (its other side is closed), which crts cannot remake',
    hint: 'Dump when the program has closed it.',
  });
}

export function leaderOfTerminal(subject: Subject): CrtsError {
  return new CrtsError({
    code: 'CRTS_TTY_LEADER',
    kind: 'refused',
    plugin: PLUGIN,
    ...subject,
    what: 'the task leads the session of this terminal, and would come back without a controlling terminal',
    hint: 'Dump a job of the shell, not the shell itself; or detach the program from the terminal (setsid, nohup).',
  });
}

export function needsShellJob(): CrtsError {
  return new CrtsError({
    code: 'CRTS_TTY_EXTERNAL',
    kind: 'refused',
    plugin: PLUGIN,
    what: 'the program was dumped with the terminal of its shell',
    hint: 'Pass --shell-job to restore as well.',
  });
}

export function noTerminal(): CrtsError {
  return new CrtsError({
    code: 'CRTS_TTY_NONE',
    kind: 'refused',
    plugin: PLUGIN,
    what: 'the program had a terminal, and crts restore runs on none',
    hint: 'Run crts restore --shell-job on a terminal.',
  });
}

export function notHandedBack(key: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_TTY_EXTERNAL',
    kind: 'refused',
    plugin: PLUGIN,
    path: key,
    what: 'the terminal was left outside the dump (--external) and is not handed back',
    hint: `Open a terminal as descriptor N of crts, and pass --inherit-fd 'fd[N]:${key}'.`,
  });
}

export function notTerminal(key: string, fd: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_TTY_NONE',
    kind: 'refused',
    plugin: PLUGIN,
    fd,
    path: key,
    what: 'the descriptor of crts that is handed back for it is no terminal',
    hint: `Open a terminal as descriptor N of crts, and pass --inherit-fd 'fd[N]:${key}'.`,
  });
}

export function notControlling(key: string, fd: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_TTY_CONTROLLING',
    plugin: PLUGIN,
    fd,
    path: key,
    what: 'the program was in charge of its terminal, and cannot be of the one that is handed back',
    call: 'ioctl(TIOCSCTTY)',
    errno,
    hint: 'EPERM: it is the controlling terminal of another session. Hand back a terminal that no shell runs on.',
  });
}

export function tooManyExternal(subject: Subject, most: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_TTY_SEVERAL',
    kind: 'refused',
    plugin: PLUGIN,
    ...subject,
    what: `the format has numbers for ${most} terminals that are left outside`,
    hint: 'Start the program with fewer.',
  });
}

export function notSet(path: string, errno: string | undefined, request = 'TCSETS'): CrtsError {
  return new CrtsError({
    code: 'CRTS_TTY_SET',
    plugin: PLUGIN,
    path,
    what: 'the terminal does not take its old settings',
    call: `ioctl(${request})`,
    errno,
    hint: 'Restore on another terminal.',
  });
}

export function otherKind(type: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_TTY_KIND',
    kind: 'refused',
    plugin: PLUGIN,
    path: 'tty-info.img',
    what: `a terminal of kind ${type}, which is no slave side of a pseudo terminal`,
    hint: 'Restore these images with criu for now.',
  });
}

export function severalTerminals(subject: Partial<Subject>): CrtsError {
  return new CrtsError({
    code: 'CRTS_TTY_SEVERAL',
    kind: 'refused',
    plugin: PLUGIN,
    ...subject,
    what: 'the program has more than one terminal, and a restore has one to give',
    hint: 'Start the program with descriptors of one terminal only.',
  });
}
