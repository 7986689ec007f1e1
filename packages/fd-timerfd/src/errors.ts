import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'fd-timerfd';

export function badEntry(id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path: 'files.img',
    what: `timerfd_entry ${id}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function unknownFdinfo(pid: number, fd: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_FDINFO',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    fd,
    what: 'the kernel does not tell the state of the timer in fdinfo',
    hint: 'crts needs Linux 3.17 or newer; report the text of /proc/PID/fdinfo/FD.',
  });
}

export function notMade(clock: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_TIMERFD',
    plugin: PLUGIN,
    what: `a timer of clock ${clock} cannot be made`,
    call: 'timerfd_create',
    errno,
    hint: 'Alarm clocks (8 and 9) need CAP_WAKE_ALARM, and a clock in hardware that can wake the machine.',
  });
}

export function notSet(id: number, call: string | undefined, errno: string | undefined, cause: unknown): CrtsError {
  return new CrtsError({
    code: 'CRTS_TIMERFD',
    plugin: PLUGIN,
    path: 'files.img',
    what: `timer ${id} cannot be set`,
    call,
    errno,
    hint: 'Alarm clocks need CAP_WAKE_ALARM; ticks need a kernel with CONFIG_CHECKPOINT_RESTORE.',
    cause,
  });
}
