/** What is wrong with the cgroup of --freeze-cgroup. */
import { CrtsError } from '@crts/plugin-api';

const freezer = (path: string, what: string, hint: string, more: object = {}): CrtsError =>
  new CrtsError({ code: 'CRTS_FREEZE_CGROUP', kind: 'refused', stage: 'dump', path, what, hint, ...more });

export function noFreezer(path: string, isEmpty: boolean): CrtsError {
  return freezer(
    path,
    isEmpty ? 'there is no such cgroup' : 'this is no cgroup that can be frozen',
    'Give --freeze-cgroup a directory below the mount of cgroup2, or of the freezer controller of version 1: not the topmost one.',
  );
}

export function freezesItself(path: string): CrtsError {
  return freezer(
    path,
    'crts itself is in this cgroup, and would freeze with it',
    'Start crts from another cgroup, or give the cgroup of the program alone.',
  );
}

export function outsideFreezer(tid: number, path: string, root: number): CrtsError {
  return freezer(
    path,
    `thread ${tid} of the tree below ${root} is not in this cgroup`,
    'Give a cgroup that the whole tree is in, at some depth, or leave --freeze-cgroup out.',
    { pid: tid },
  );
}

export function tooDeep(path: string, depth: number): CrtsError {
  return freezer(path, `cgroups are nested here more than ${depth} deep`, 'Give one that is nearer to the program.');
}

export function freezerFailed(path: string, call: string, errno: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_FREEZE_CGROUP',
    stage: 'dump',
    path,
    what: 'the cgroup cannot be frozen or thawed',
    call,
    errno,
    hint: 'crts needs root, and a mount of the cgroups that may be written to.',
  });
}
