import { CrtsError } from '@crts/plugin-api';

/** The image is damaged, or was made to do harm. */
export function badGhost(id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    path: `ghost-file-${id.toString(16)}.img`,
    what,
    hint: 'The image is damaged.',
  });
}

export function badLink(id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_REFERENCE',
    path: 'remap-fpath.img',
    what: `file ${id}: ${what}`,
    hint: 'The image set is damaged, or mixed from several dumps.',
  });
}

export function tooLarge(sizeBytes: bigint, limitBytes: bigint): CrtsError {
  const mebibytes = (sizeBytes + (1n << 20n) - 1n) >> 20n;
  return new CrtsError({
    code: 'CRTS_GHOST_LIMIT',
    kind: 'refused',
    what: `the file was deleted and has ${sizeBytes} bytes on disk, which is more than --ghost-limit (${limitBytes}) lets into the images`,
    hint: `Pass --ghost-limit ${mebibytes}M or more.`,
  });
}

/** A file that was mounted by itself, under a name that is no mount any more: d_path() has nothing to say. */
export function withoutName(): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_UNREACHABLE',
    kind: 'refused',
    what: 'the file was deleted and was the root of a mount that is gone: it has no name under which it could be made again',
    hint: 'Leave it outside the dump: see --external file[MNT:INODE].',
  });
}

export function unreadable(call: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_GHOST_READ',
    what: 'a deleted file cannot be read',
    call,
    errno,
    hint: 'It must be readable by root; see the errno.',
  });
}

export function needsLinkRemap(): CrtsError {
  return new CrtsError({
    code: 'CRTS_LINK_REMAP',
    kind: 'refused',
    what: 'this name of the file was removed, and the file has others: it cannot be found again without a temporary name',
    hint: 'Pass --link-remap: the file gets a name beside the old one, which the restore removes.',
  });
}

export function notLinked(name: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_LINK_REMAP',
    what: `the file cannot get the temporary name ${name}`,
    call: 'linkat',
    errno,
    hint: 'The directory must be writable, and on the filesystem of the file.',
  });
}

export function linkGone(path: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_LINK_REMAP',
    path,
    what: 'the temporary name that the dump gave to a file is not there',
    call: 'linkat',
    errno,
    hint: 'A restore removes it when it is done, and a dump that leaves the program running never makes it.',
  });
}

export function notMade(path: string, call: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_GHOST_MAKE',
    path,
    what: 'a deleted file cannot be made again',
    call,
    errno,
    hint:
      errno === 'EROFS'
        ? 'The filesystem is read-only: restore while it is writable.'
        : errno === 'ENOMEM' || errno === 'EFAULT'
          ? 'On hugetlbfs: the kernel has too few huge TLB pages: raise nr_hugepages in /sys/kernel/mm/hugepages.'
          : 'Its directory must be writable for root while the restore runs.',
  });
}

export function notOpened(path: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_GHOST_OPEN',
    path,
    what: 'a deleted file that was made again cannot be opened as it was',
    call: 'open',
    errno,
    hint: 'See man 2 open for the errno.',
  });
}
