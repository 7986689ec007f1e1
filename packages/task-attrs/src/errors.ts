import { CrtsError } from '@crts/plugin-api';

const refused = (code: string, pid: number, what: string, hint: string): CrtsError =>
  new CrtsError({ code, kind: 'refused', plugin: 'task-attrs', pid, what, hint });

export function syscallDispatch(pid: number): CrtsError {
  return refused(
    'CRTS_SYSCALL_DISPATCH',
    pid,
    'the thread runs code whose system calls become signals (syscall user dispatch), those of the agent too',
    'Dump again at another moment, when its calls are made as usual.',
  );
}

export function landlocked(pid: number): CrtsError {
  return refused(
    'CRTS_LANDLOCK',
    pid,
    'the thread has restricted itself with Landlock, and the kernel does not tell to what: it would run unrestricted after a restore',
    'Dump it before it calls landlock_restrict_self(2), or start it without that sandbox.',
  );
}

export function schedulingPolicy(pid: number, policy: string): CrtsError {
  return refused(
    'CRTS_SCHED_POLICY',
    pid,
    `scheduling policy ${policy} is not carried`,
    'Set SCHED_OTHER, BATCH, IDLE, FIFO, RR or DEADLINE (chrt -p) before the dump.',
  );
}

export function componentNotAllowed(component: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_CPU_PERMISSION',
    plugin: 'task-attrs',
    what: `the program may use component ${component} of the extended state${component === 18 ? ' (AMX tiles)' : ''}, which this machine does not allow`,
    call: 'arch_prctl',
    errno,
    hint: 'Restore on a machine whose CPU and kernel have it.',
  });
}

export function coreCookie(pid: number): CrtsError {
  return refused(
    'CRTS_CORE_SCHED',
    pid,
    'the thread shares CPU cores only with threads of the same cookie (core scheduling), which no restore can hand out again',
    'Start the program without core scheduling.',
  );
}

export function deadlineNotSet(errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_SCHED_DEADLINE',
    plugin: 'task-attrs',
    what: 'SCHED_DEADLINE cannot be set',
    call: 'sched_setattr',
    errno,
    hint:
      errno === 'EBUSY'
        ? 'The CPUs have no such time left: stop other programs with a deadline.'
        : 'It needs CAP_SYS_NICE, and that the thread may run on all CPUs.',
  });
}

export function badAttribute(field: string, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: 'task-attrs',
    what: `core_entry.${field}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function noIoFlusher(errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_IO_FLUSHER',
    plugin: 'task-attrs',
    what: 'the thread cannot become a flusher of memory (PR_SET_IO_FLUSHER) again',
    call: 'prctl',
    errno,
    hint: 'It needs CAP_SYS_RESOURCE.',
  });
}
