import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'mm-aio';

export function badRing(range: string, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    what: `AIO ring ${range}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function notItsOwn(pid: number, range: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_AIO_INHERITED',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    what: `the AIO ring ${range} is that of a parent, which fork(2) left behind without its context, or a part of one`,
    hint: 'The process may unmap it: no call works with it.',
  });
}

export function tooManyCpus(range: string, events: number, wanted: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_AIO_SIZE',
    kind: 'refused',
    plugin: PLUGIN,
    what: `the AIO ring ${range} has room for ${wanted} events, and this kernel makes none with less than ${events}`,
    hint: 'Rings grow with the number of CPUs that a machine may have: restore on one with as few as that of the dump.',
  });
}

export function noRing(range: string, call: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_AIO',
    plugin: PLUGIN,
    what: `the AIO ring ${range} cannot be made again`,
    call,
    errno,
    hint: errno === 'EAGAIN' ? 'Raise the sysctl fs.aio-max-nr.' : 'Report it with the images.',
  });
}
