import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'fd-pipe';

export function badEntry(what: string, path = 'files.img'): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path,
    what,
    hint: 'The image set is damaged, or mixed from several dumps.',
  });
}

export function foreignEnd(pid: number, fd: number, link: string, missing: 'reads' | 'writes' | 'uses'): CrtsError {
  const id = /\d+/.exec(link)?.[0] ?? '0';
  return new CrtsError({
    code: 'CRTS_PIPE_FOREIGN',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    fd,
    path: link,
    what: `a process outside the dump ${missing} this pipe`,
    hint: `Dump with --external 'pipe[${id}]' and restore with --inherit-fd 'fd[N]:pipe:[${id}]', or dump that process too.`,
  });
}

export function notCopied(pid: number, fd: number, link: string, wanted: number, got: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_PIPE_CONTENTS',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    fd,
    path: link,
    what: `of ${wanted} bytes in the pipe ${Math.max(0, got)} can be duplicated (tee)`,
    hint: 'A pipe larger than fs.pipe-max-size: crts needs CAP_SYS_RESOURCE for it, or sysctl fs.pipe-max-size=SIZE.',
  });
}

export function notificationQueue(pid: number, fd: number, link: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_PIPE_NOTIFICATION',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    fd,
    path: link,
    what: 'a pipe of kernel notifications (O_NOTIFICATION_PIPE): who sends them is not to be found out',
    hint: 'Dump when the program has closed it.',
  });
}

export function notSized(pipeId: number, sizeBytes: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_PIPE_SIZE',
    plugin: PLUGIN,
    path: `pipe:[${pipeId}]`,
    what: `the pipe cannot be made ${sizeBytes} bytes large`,
    call: 'fcntl(F_SETPIPE_SZ)',
    errno,
    hint: `EPERM: sysctl fs.pipe-max-size=${sizeBytes}, or restore with CAP_SYS_RESOURCE.`,
  });
}

export function notReopened(pipeId: number, source: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_PIPE_INHERIT',
    plugin: PLUGIN,
    path: `pipe:[${pipeId}]`,
    what: `descriptor ${source} of the caller, given for it, cannot be opened again`,
    call: `openat("/proc/self/fd/${source}")`,
    errno,
    hint: `Pass the pipe's other end, open in a process that lives on: --inherit-fd 'fd[N]:pipe:[${pipeId}]'.`,
  });
}

export function fifoNotOpened(path: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_OPEN',
    plugin: PLUGIN,
    path,
    what: 'a FIFO that the images name cannot be opened',
    errno,
    hint: 'It must be there, as a FIFO, under the same name.',
  });
}

export function fifoBusy(path: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_FIFO_BUSY',
    plugin: PLUGIN,
    path,
    what: 'something is in the FIFO already: a process outside has it open, and what the images hold would be there twice',
    hint: 'Let that process read it, or end it.',
  });
}

export function notFilled(pipeId: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_PIPE_CONTENTS',
    plugin: PLUGIN,
    path: `pipe:[${pipeId}]`,
    what: 'the contents do not fit into the pipe',
    call: 'write',
    errno,
    hint: 'The image set is damaged, or this kernel gives pipes less room.',
  });
}
