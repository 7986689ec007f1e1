import { CrtsError } from '@crts/plugin-api';

const DAMAGED =
  'Copy the images anew from where they were made; a restore without --verify would run with what is there.';

/** A block of an image is not what was written. */
export function damaged(
  path: string,
  offset: bigint,
  owner: { readonly pid?: number; readonly shmid?: number; readonly addr?: bigint },
): CrtsError {
  const page = owner.addr === undefined ? '' : `: ${whose(owner.shmid)} 0x${owner.addr.toString(16)}`;
  return new CrtsError({
    code: 'CRTS_CHECKSUM',
    path,
    pid: owner.pid,
    stage: 'restore',
    what: `the 4 KiB at offset 0x${offset.toString(16)} (block ${offset / 4096n}) are not what was written${page}`,
    hint: DAMAGED,
  });
}

function whose(shmid: number | undefined): string {
  return shmid === undefined ? 'the page at' : `shared memory ${shmid} at`;
}

export function imageSize(path: string, size: bigint, expected: bigint): CrtsError {
  return new CrtsError({
    code: 'CRTS_CHECKSUM',
    path,
    stage: 'restore',
    what: `the image has ${size} bytes, ${expected} were written`,
    hint: DAMAGED,
  });
}

export function imageGone(path: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_CHECKSUM',
    path,
    stage: 'restore',
    what: 'the image is missing: it was written, and has a checksum',
    hint: DAMAGED,
  });
}

/** The sums themselves. */
export function checksumsDamaged(path: string, name: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_CHECKSUM',
    path,
    stage: 'restore',
    what: `the checksums of ${name} are damaged or missing`,
    hint: 'Copy the images anew from where they were made, or restore without --verify.',
  });
}

export function noChecksums(path: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_CHECKSUM_MISSING',
    kind: 'refused',
    path,
    stage: 'restore',
    what: 'the images have no checksums to verify',
    hint: 'Dump with --checksum, each set of a chain, or restore without --verify.',
  });
}
