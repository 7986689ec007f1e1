import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'fd-epoll';

export function badEntry(id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path: 'files.img',
    what: `eventpoll_file_entry ${id}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function foreignTarget(pid: number, fd: number, number: number, where: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_EPOLL_FOREIGN',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    fd: fd < 0 ? undefined : fd,
    what: `it watches what was fd ${number} (${where}), and no process of the dump has that open`,
    hint: 'A process outside the dump has it, or it is on its way to one through a socket: dump that process too, or later.',
  });
}

export function notRegistered(id: number, number: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_EPOLL_TARGET',
    plugin: PLUGIN,
    path: 'files.img',
    what: `epoll ${id} cannot watch fd ${number} again`,
    call: 'epoll_ctl(EPOLL_CTL_ADD)',
    errno,
    hint: 'EBADF, EEXIST: the images contradict each other. ENOSPC: fs.epoll.max_user_watches is reached.',
  });
}

export function noTarget(id: number, file: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_REFERENCE',
    plugin: PLUGIN,
    path: 'files.img',
    what: `eventpoll_file_entry ${id}: no task has file ${file}, which it watches`,
    hint: 'The image set is damaged, or mixed from several dumps.',
  });
}
