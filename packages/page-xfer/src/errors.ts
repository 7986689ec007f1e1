import { CrtsError } from '@crts/plugin-api';

export function cannotConnect(peer: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_PAGE_SERVER',
    what: `the page server at ${peer} cannot be reached`,
    errno,
    hint: 'Start it first (crts page-server --port N), and check --address, --port and what filters packets on the way.',
  });
}

/** The connection ended, or nothing went through it, in the middle. */
export function connectionLost(peer: string, during: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_PAGE_SERVER',
    what: `the connection with the page server at ${peer} failed while ${during}`,
    errno,
    hint:
      errno === 'ETIMEDOUT' || errno === 'EAGAIN'
        ? 'The other side takes no data. See whether it runs and has room.'
        : 'The log of the other side says why it went away: a full disk, pages that its parent set does not have, or its death.',
  });
}

export function refusedByServer(peer: string, status: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_PAGE_SERVER',
    what: `the page server at ${peer} could not store the pages (status ${status})`,
    hint: 'Its log says why.',
  });
}

/** Bytes that no peer of this protocol sends. */
export function badRecord(peer: string, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_PAGE_PROTOCOL',
    what: `${peer} does not follow the page transfer protocol: ${what}`,
    hint: 'Is it a crts or criu of version 4? With --tls on one side, the other needs it too.',
  });
}

export function cutOff(peer: string, during: string, reason?: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_PAGE_SERVER',
    what: `${peer} ended the connection ${during}`,
    errno: reason,
    hint: 'Its log says why; nothing was stored, and its program runs on.',
  });
}

export function noSuchPages(peer: string, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_PAGE_PROTOCOL',
    what: `${peer} asks for pages that are not there: ${what}`,
    hint: 'The images that it restores are of another dump.',
  });
}

export function badCertificateFile(path: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_TLS',
    path,
    what: 'a file of certificates or keys cannot be read',
    errno,
    hint: 'See --tls-cacert, --tls-cacrl, --tls-cert and --tls-key.',
  });
}
