import { CrtsError } from '@crts/plugin-api';
import { O_PATH, reads } from './constants';

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

export function notHandedBack({ pipe_id, flags }: { readonly pipe_id: number; readonly flags: number }): CrtsError {
  const does = (flags & O_PATH) !== 0 ? 'uses' : reads(flags) ? 'writes' : 'reads';
  return new CrtsError({
    code: 'CRTS_PIPE_FOREIGN',
    kind: 'refused',
    plugin: PLUGIN,
    path: `pipe:[${pipe_id}]`,
    what: `a process outside the dump ${does} this pipe, and no other one is handed back for it`,
    hint: `Open ${reads(flags) ? 'the reading end of a pipe' : 'the writing end of a pipe'} as descriptor N of crts, and pass --inherit-fd 'fd[N]:pipe:[${pipe_id}]'.`,
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
