import { CrtsError } from '@crts/plugin-api';

export function cannotStore(directory: string, call: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_PAGE_STORE',
    path: directory,
    what: 'pages that came over the network cannot be stored',
    call,
    errno,
    hint:
      errno === 'ENOSPC' || errno === 'EDQUOT'
        ? 'Free space there, or choose another directory with -D.'
        : 'Check the disk of the images directory (-D).',
  });
}

export function notInParent(image: string, start: bigint, end: bigint): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGES_INCREMENTAL',
    path: image,
    what: `pages 0x${start.toString(16)}-0x${end.toString(16)} are left to a parent set that does not have them`,
    hint: 'Give the page server the --prev-images-dir that the dump builds on.',
  });
}
