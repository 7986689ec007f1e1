import { CrtsError } from '@crts/plugin-api';

export function externalTerminal(pid: number, fd: number, path: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_TTY_EXTERNAL',
    kind: 'refused',
    plugin: 'fd-tty',
    pid,
    fd,
    path,
    what: 'a terminal whose other side is not part of the dump',
    hint: 'Pass --shell-job to dump and restore: the program then gets the terminal that the restore runs on.',
  });
}

export function noTerminal(): CrtsError {
  return new CrtsError({
    code: 'CRTS_TTY_NONE',
    kind: 'refused',
    plugin: 'fd-tty',
    what: 'the program had a terminal, and crts restore runs on none',
    hint: 'Run crts restore --shell-job on a terminal.',
  });
}

export function needsShellJob(): CrtsError {
  return new CrtsError({
    code: 'CRTS_TTY_EXTERNAL',
    kind: 'refused',
    plugin: 'fd-tty',
    what: 'the program was dumped with the terminal of its shell',
    hint: 'Pass --shell-job to restore as well.',
  });
}
