import { CrtsError } from '@crts/plugin-api';

export function badPagemap(pid: number, entry: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_REFERENCE',
    plugin: 'mm-pagemap',
    path: `pagemap-${pid}.img`,
    what: `entry ${entry}: ${what}`,
    hint: 'The image set is damaged or mixed from two dumps.',
  });
}

export function incremental(pid: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGES_INCREMENTAL',
    kind: 'refused',
    plugin: 'mm-pagemap',
    path: `pagemap-${pid}.img`,
    what: 'the images are an increment on a parent set, which crts does not read yet',
    hint: 'Dump without --prev-images-dir.',
  });
}

export function pagesNotWritten(pid: number, sizeBytes: bigint, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_PAGES_WRITE',
    plugin: 'mm-pagemap',
    pid,
    what: `the memory of the task (${sizeBytes} bytes) cannot be written to the images directory`,
    errno,
    hint:
      errno === 'ENOSPC'
        ? `Free at least ${sizeBytes} bytes there, or choose another directory with -D.`
        : 'Check the disk of the images directory (-D) and file size limits (ulimit -f).',
  });
}
