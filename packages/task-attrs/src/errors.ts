import { CrtsError } from '@crts/plugin-api';

const refused = (code: string, pid: number, what: string, hint: string): CrtsError =>
  new CrtsError({ code, kind: 'refused', plugin: 'task-attrs', pid, what, hint });

export function seccomp(pid: number, mode: string): CrtsError {
  return refused(
    'CRTS_SECCOMP',
    pid,
    `the task runs under seccomp (mode ${mode}), which crts does not carry yet`,
    'Start the program without its sandbox.',
  );
}

export function syscallDispatch(pid: number): CrtsError {
  return refused(
    'CRTS_SYSCALL_DISPATCH',
    pid,
    'the task uses syscall user dispatch',
    'Programs under Wine or a similar emulator cannot be dumped yet.',
  );
}

export function schedulingPolicy(pid: number, policy: string): CrtsError {
  return refused(
    'CRTS_SCHED_POLICY',
    pid,
    `scheduling policy ${policy} is not carried`,
    'Set SCHED_OTHER, BATCH, IDLE, FIFO or RR (chrt -p) before the dump.',
  );
}

export function badAttribute(field: string, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: 'task-attrs',
    what: `core_entry.${field}: ${what}`,
    hint: 'The image is damaged.',
  });
}
