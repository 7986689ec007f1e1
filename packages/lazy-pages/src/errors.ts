import { CrtsError } from '@crts/plugin-api';

export function restorerGone(what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_LAZY_RESTORE',
    what: `the restore that was to be served ended: ${what}`,
    hint: 'The log of crts restore says why.',
  });
}

export function badHello(what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_LAZY_RESTORE',
    what: `what came on lazy-pages.socket is not from a restore of these images: ${what}`,
    hint: 'Give lazy-pages and restore the same images directory (-D).',
  });
}

export function cannotFill(pid: number, address: bigint, call: string, errno: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_LAZY_FILL',
    pid,
    what: `the page at 0x${address.toString(16)} cannot be put into the program`,
    call,
    errno,
    hint: 'ENOMEM: the machine, or the control group of the program, is out of memory. EFAULT: the images cannot be read.',
  });
}

export function cannotMap(what: string, errno: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_LAZY_FILL',
    what: `the pages image cannot be mapped: ${what}`,
    call: 'mmap',
    errno,
    hint: 'See whether the images can be read.',
  });
}

export function noContents(pid: number, address: bigint): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_REFERENCE',
    pid,
    what: `the page at 0x${address.toString(16)} is in no image`,
    hint: 'Images of dump --lazy-pages need the dump, or a page server: lazy-pages --page-server --address HOST --port PORT.',
  });
}
