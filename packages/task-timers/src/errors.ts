import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'task-timers';

export function badTimers(field: string, reason: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    what: `core_entry.tc.timers.${field}: ${reason}`,
    hint: 'The image is damaged.',
  });
}

export function foreignClock(pid: number, timer: number, clock: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_TIMER_CLOCK',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    what: `POSIX timer ${timer} runs on ${clock}`,
    hint: 'Dump when the program has deleted this timer.',
  });
}

export function timerIds(pid: number, highest: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_TIMER_IDS',
    plugin: PLUGIN,
    pid,
    what: `a POSIX timer has the number ${highest}, which this kernel gives to a new timer only after as many others`,
    hint: 'Restore on Linux 6.16 or newer.',
  });
}

export function timerNotMade(pid: number, timer: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_TIMER_CREATE',
    plugin: PLUGIN,
    pid,
    what: `POSIX timer ${timer} cannot be made again`,
    call: 'timer_create',
    errno,
    hint:
      errno === 'EAGAIN'
        ? "The limit of queued signals (RLIMIT_SIGPENDING) of the program's user is used up by other programs."
        : 'The thread that it signals or whose time it counts is not there, or this kernel lacks its clock.',
  });
}

export function timerTarget(pid: number, timer: number, tid: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_TIMER_TARGET',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    what: `POSIX timer ${timer} signals thread ${tid}, which has ended`,
    hint: 'Dump when the program has deleted this timer.',
  });
}

export function unknownTimers(pid: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_TIMER_PROC',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    what: 'the kernel describes POSIX timers in a way that crts does not know',
    hint: `Report it with the contents of /proc/${pid}/timers.`,
  });
}
