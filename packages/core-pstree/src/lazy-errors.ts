import { CrtsError } from '@crts/plugin-api';

export function cannotWatch(pid: number, call: string | undefined, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_LAZY_PAGES',
    pid,
    what: 'the memory of the task cannot be watched for missing pages',
    call,
    errno,
    hint: 'Lazy restores need userfaultfd, and CAP_SYS_PTRACE or vm.unprivileged_userfaultfd = 1. Restore without --lazy-pages.',
  });
}

/** Memory of a frozen task cannot be given to who restores it. */
export function lateMemory(pid: number, start: bigint, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_PAGE_SERVER',
    pid,
    what: `the memory at 0x${start.toString(16)} cannot be sent to the lazy restore`,
    errno,
    hint: 'The program runs on here; what was restored from it there is incomplete, and must be ended.',
  });
}
