/** Whom SO_PEERCRED will show: who makes a connection, at that moment. */

import type { UnixSkEntry } from '@crts/image-io';
import type { Program } from '@crts/plugin-api';

const PR_GET_SECUREBITS = 27;
const PR_SET_SECUREBITS = 28;
/** Capabilities stay when ids change: man 7 capabilities. */
const SECBIT_NO_SETUID_FIXUP = 4;
const KEEP = -1;

export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

export function identityOf(entry: UnixSkEntry | undefined): Identity | undefined {
  const { cred_uid: uid, cred_gid: gid } = entry?.crts ?? {};
  return uid === undefined || gid === undefined || (uid === 0 && gid === 0) ? undefined : { uid, gid };
}

/** SO_PEERCRED takes the effective ids (cred_to_ucred(), net/core/sock.c); the task is root before and after. */
export function as(program: Program, identity: Identity | undefined, emit: () => void): void {
  if (identity === undefined) {
    emit();
    return;
  }
  const bits = program.call('prctl', [PR_GET_SECUREBITS, 0, 0, 0, 0]);
  program.call('prctl', [PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0]);
  program.call('setresgid', [KEEP, identity.gid, KEEP], { what: `be group ${identity.gid} for SO_PEERCRED` });
  program.call('setresuid', [KEEP, identity.uid, KEEP], { what: `be user ${identity.uid} for SO_PEERCRED` });
  emit();
  program.call('setresuid', [KEEP, 0, KEEP]);
  program.call('setresgid', [KEEP, 0, KEEP]);
  program.call('prctl', [PR_SET_SECUREBITS, bits, 0, 0, 0]);
}
