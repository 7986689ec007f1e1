import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'mm-pagemap';

/** An entry of the pagemap image that cannot be true. */
export function badPagemap(image: string, entry: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_REFERENCE',
    plugin: PLUGIN,
    path: image,
    what: `entry ${entry}: ${what}`,
    hint: 'The image set is damaged or mixed from two dumps.',
  });
}

export function noParent(image: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGES_INCREMENTAL',
    plugin: PLUGIN,
    path: image,
    what: 'the images are an increment, and the set that it builds on is not there',
    hint: 'The link `parent` in the images directory has to lead to the set that --prev-images-dir named at the dump.',
  });
}

export function chainTooLong(image: string, max: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGES_INCREMENTAL',
    kind: 'refused',
    plugin: PLUGIN,
    path: image,
    what: `more than ${max} image sets build on each other`,
    hint: 'The links `parent` lead in a circle, or the chain is too long: make a full dump now and then.',
  });
}

export function pagesElsewhere(image: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_PLUGIN',
    kind: 'refused',
    plugin: PLUGIN,
    path: image,
    what: 'the images leave memory to a page server (lazy migration), which crts does not ask yet',
    hint: 'Dump without --lazy-pages.',
  });
}

export function noPagemapScan(pid: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_SYSCALL',
    plugin: PLUGIN,
    pid,
    what: 'the kernel does not tell which pages the task uses',
    call: 'ioctl(PAGEMAP_SCAN)',
    errno,
    hint: 'crts needs Linux 6.7, and 6.15 to see guard regions.',
  });
}

export function pagesUnreadable(pid: number, where: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_PAGES_WRITE',
    plugin: PLUGIN,
    pid,
    what: `memory of the task cannot be read for the images (${where})`,
    errno,
    hint: 'A broken memory page (see the kernel log), a protection key, or a guard on a kernel before 6.15.',
  });
}

export function objectUnreadable(via: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_PAGES_WRITE',
    plugin: PLUGIN,
    path: via,
    what: 'shared memory of the tree cannot be read for the images',
    errno,
    hint: 'Reading /proc/PID/map_files needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN.',
  });
}

export function pagesNotWritten(pid: number | undefined, sizeBytes: bigint, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_PAGES_WRITE',
    plugin: PLUGIN,
    pid,
    what: `the memory of the task (${sizeBytes} bytes) cannot be written to the images directory`,
    errno,
    hint: writeHint(sizeBytes, errno),
  });
}

function writeHint(sizeBytes: bigint, errno: string | undefined): string {
  if (errno === 'ENOSPC' || errno === 'EDQUOT')
    return `Free at least ${sizeBytes} bytes there, or choose another directory with -D.`;
  if (errno === 'EFBIG') return 'Raise the file size limit of the shell that runs crts (ulimit -f).';
  return 'Check the disk of the images directory (-D).';
}

export function nothingToDedup(): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGES_INCREMENTAL',
    kind: 'refused',
    plugin: PLUGIN,
    what: 'the images build on no other set: there is nothing to deduplicate',
    hint: 'The link `parent` in the images directory leads to the set that --prev-images-dir named at the dump.',
  });
}

export function noPunchHole(errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_PUNCH_HOLE',
    plugin: PLUGIN,
    what: 'pages cannot be taken out of a pages image',
    call: 'fallocate(FALLOC_FL_PUNCH_HOLE)',
    errno,
    hint:
      errno === 'EOPNOTSUPP'
        ? 'The file system of the images knows no holes: do without dedup and --auto-dedup.'
        : 'The images are as good as before; check their disk.',
  });
}

export function sharedPages(image: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGES_SHARED',
    kind: 'refused',
    plugin: PLUGIN,
    path: image,
    what: 'tasks of this set share pages in the images (--share-pages): none can be taken out for one of them',
    hint: 'Do without dedup and --auto-dedup on a set that was dumped with --share-pages.',
  });
}
