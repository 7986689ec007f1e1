import { CrtsError } from '@crts/plugin-api';
import type { SharedKind } from './forks/objects';
import type { VforkWait } from './vfork';

const refused = (code: string, pid: number, what: string, hint: string): CrtsError =>
  new CrtsError({ code, kind: 'refused', pid, what, hint, stage: 'dump' });

export function inVfork({ pid, tid, child }: VforkWait, seconds: number): CrtsError {
  return refused(
    'CRTS_VFORK',
    pid,
    `thread ${tid} waits in vfork(2) for its child ${child}, and nothing stops it there (${seconds} s)`,
    `Dump when ${child} has called execve(2) or has ended; --timeout says how long to wait for that.`,
  );
}

/** What a message calls the objects that tasks share by clone(2). */
const SHARED_NAMES: Readonly<Record<SharedKind, string>> = {
  vm: 'memory (CLONE_VM)',
  files: 'descriptors (CLONE_FILES)',
  fs: 'directories (CLONE_FS)',
  sighand: 'signal actions (CLONE_SIGHAND)',
};

export function sharedOutside(pid: number, kind: SharedKind, other: number): CrtsError {
  return refused(
    'CRTS_SHARED',
    pid,
    `the process shares its ${SHARED_NAMES[kind]} with process ${other}, which is not part of the dump`,
    `Dump the tree that both are in (-t ${other}), or when the process has copies of its own.`,
  );
}

/** The fork planner's: the way in which the tasks came to share is not to be seen any more. */
export function cannotShare(pid: number, kind: SharedKind, other: number): CrtsError {
  return refused(
    'CRTS_SHARED',
    pid,
    `the process shares its ${SHARED_NAMES[kind]} with process ${other}, and no order of clone(2) makes them share it again`,
    'Dump when one of them has ended, or has copies of its own.',
  );
}

export function exitSignal(pid: number, signal: number, dead: boolean): CrtsError {
  return new CrtsError({
    code: 'CRTS_EXIT_SIGNAL',
    kind: 'refused',
    stage: 'dump',
    pid,
    what: dead
      ? `the process has ended and its parent is sent signal ${signal} for it, which a restore would send again`
      : `the process was made with exit signal ${signal}, which clone3(2) does not take`,
    hint: 'Dump when the process is gone.',
  });
}
