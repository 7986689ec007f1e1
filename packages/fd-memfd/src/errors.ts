import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'fd-memfd';

export function badInode(inodeId: bigint, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path: 'memfd.img',
    what: `memfd ${inodeId}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function badFile(id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path: 'files.img',
    what: `file ${id}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function noInode(id: number, inodeId: number, count: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_REFERENCE',
    plugin: PLUGIN,
    path: 'files.img',
    what: `file ${id} is of memfd ${inodeId}, of which memfd.img has ${count} entries`,
    hint: 'The image set is damaged, or mixed from several dumps.',
  });
}

export function strangeDevice(pid: number, fd: number, link: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_FD_KIND',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    fd,
    path: link,
    what: 'a deleted file that is called like a memfd and is none',
    hint: 'Dump when the program has closed it.',
  });
}

export function notMade(name: string, call: string | undefined, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_MEMFD',
    plugin: PLUGIN,
    path: `/memfd:${name}`,
    what: 'the memfd cannot be made again',
    call,
    errno,
    hint:
      errno === 'EACCES'
        ? 'vm.memfd_noexec forbids executable memfds: set it to 0 or 1 for the restore.'
        : 'The images ask for what this kernel does not have, or are damaged.',
  });
}

export function notSealed(name: string, seals: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_MEMFD',
    plugin: PLUGIN,
    path: `/memfd:${name}`,
    what: `the seals 0x${seals.toString(16)} cannot be set`,
    call: 'fcntl(F_ADD_SEALS)',
    errno,
    hint: 'EINVAL: the kernel does not know one of them; EBUSY: the images have it mapped for writing.',
  });
}
