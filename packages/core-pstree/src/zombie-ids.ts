/** Whose a dead process is: waitid(2) tells it (si_uid), and kill(2) asks for it. */
import type { CoreEntry } from '@crts/image-io';
import type { Program } from '@crts/plugin-api';
import { badImage } from './errors';

/** As /proc/PID/status has them. */
export interface Ids {
  readonly real: number;
  readonly effective: number;
  readonly saved: number;
  readonly filesystem: number;
}

const NOBODYS_ID = 0xffff_ffff;
const KEEP = -1;

/** `text`: the line Uid or Gid of /proc/PID/status. */
export function idsOf(text: string | undefined): Ids {
  const [real = 0, effective = 0, saved = 0, filesystem = 0] = (text ?? '').split('\t').map(Number);
  return { real, effective, saved, filesystem };
}

export interface Owner {
  readonly uids: Ids;
  readonly gids: Ids;
}

/** Nothing where it is root's. Groups and capabilities of a dead process act on nothing. */
export function ownerEntry({ uids, gids }: Owner): Pick<NonNullable<CoreEntry['thread_core']>, 'creds'> {
  if ([...Object.values(uids), ...Object.values(gids)].every((id) => id === 0)) return {};
  const users = { uid: uids.real, euid: uids.effective, suid: uids.saved, fsuid: uids.filesystem };
  const groups = { gid: gids.real, egid: gids.effective, sgid: gids.saved, fsgid: gids.filesystem };
  const none = { cap_inh: [], cap_prm: [], cap_eff: [], cap_bnd: [], cap_amb: [], secbits: 0, groups: [] };
  return { creds: { ...users, ...groups, ...none } };
}

/** Undefined where the image does not tell. */
export function recordedOwner({ thread_core: thread }: CoreEntry, pid: number): Owner | undefined {
  const creds = thread?.creds;
  if (creds === undefined) return undefined;
  const { uid, euid, suid, fsuid, gid, egid, sgid, fsgid } = creds;
  for (const id of [uid, euid, suid, gid, egid, sgid])
    if (id === NOBODYS_ID) throw badImage('CRTS_IMAGE_FIELD', `core-${pid}.img`, `${id} is nobody's id`);
  return {
    uids: { real: uid, effective: euid, saved: suid, filesystem: fsuid },
    gids: { real: gid, effective: egid, saved: sgid, filesystem: fsgid },
  };
}

/**
 * `dumpsCore`: it writes a core file yet, into a directory of root's, and may do so as long as its effective ids stay
 * (commit_creds(), kernel/cred.c). What fails here must not keep it from its end: who waits for that looks at si_uid.
 */
export function emitOwner(program: Program, { uids, gids }: Owner, dumpsCore: boolean): void {
  const effective = (id: number) => (dumpsCore ? KEEP : id);
  program.call('setresgid', [gids.real, effective(gids.effective), gids.saved], { expect: 'any' });
  program.call('setresuid', [uids.real, effective(uids.effective), uids.saved], { expect: 'any' });
}
