/** Namespaces of a tree that crts does not carry. */
import { CrtsError } from '@crts/plugin-api';

const refused = (code: string, pid: number, what: string, hint: string): CrtsError =>
  new CrtsError({ code, kind: 'refused', pid, what, hint, stage: 'dump' });

export function foreignNamespace(pid: number, kind: string): CrtsError {
  return refused(
    'CRTS_NAMESPACE',
    pid,
    `the task lives in another ${kind} namespace than crts, which is not carried yet`,
    'Run crts inside that namespace (nsenter), or dump the container with criu for now.',
  );
}

export function noTimeNamespace(): CrtsError {
  return new CrtsError({
    code: 'CRTS_TIME_NAMESPACE',
    kind: 'refused',
    stage: 'restore',
    what: 'the program had a time namespace of its own, which this kernel does not have',
    hint: 'Restore on a kernel with CONFIG_TIME_NS.',
  });
}

export function unshared(pid: number, tid: number, what: string): CrtsError {
  return refused(
    'CRTS_THREAD_UNSHARED',
    pid,
    `thread ${tid} has ${what} of its own (unshare), which the images cannot hold`,
    'Dump when that thread has ended.',
  );
}

export function unsharedTogether(pid: number, tid: number, other: number): CrtsError {
  return refused(
    'CRTS_THREAD_UNSHARED',
    pid,
    `thread ${tid} shares its directories with ${other}, and not with the other threads of its process: no restore makes that`,
    'Dump when one of them has ended, or has called unshare(CLONE_FS) itself.',
  );
}
