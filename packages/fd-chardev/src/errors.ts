import { CrtsError } from '@crts/plugin-api';
import { driverOf, usualName } from './device';

const PLUGIN = 'fd-chardev';

interface Subject {
  readonly pid: number;
  readonly fd?: number | undefined;
  readonly path: string;
}

export function badEntry(id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path: 'files.img',
    what: `reg_file_entry ${id}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function deviceChanged(path: string, now: number, before: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_MODE',
    plugin: PLUGIN,
    path,
    what: `the device's mode changed since the dump: 0${now.toString(8)}, was 0${before.toString(8)}`,
    hint: 'chmod it back, or pass --skip-file-rwx-check.',
  });
}

export function deviceState(subject: Subject, state: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_DEVICE_STATE',
    kind: 'refused',
    plugin: PLUGIN,
    ...subject,
    what: `the device has state that is not carried: ${state}`,
    hint: 'Dump when the program has closed it, or add a plugin that carries it with --plugin.',
  });
}

export function notOpened(path: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_OPEN',
    plugin: PLUGIN,
    path,
    what: 'a device that the images name cannot be opened',
    errno,
    hint: 'EACCES: the file system is mounted nodev, or a cgroup forbids the device.',
  });
}

/** At dump nothing was touched: refused. At restore the machine lacks the device: failed. */
export function otherDevice(
  kind: 'refused' | 'failed',
  path: string,
  found: string,
  subject: { pid?: number; fd?: number | undefined } = {},
): CrtsError {
  return new CrtsError({
    code: 'CRTS_DEVICE_NAME',
    kind,
    plugin: PLUGIN,
    ...subject,
    path,
    what: `the name does not lead to a device that crts carries (${found})`,
    hint:
      kind === 'refused'
        ? 'The device node was removed or replaced: put it back, or dump with --evasive-devices.'
        : 'The device node must exist under the same name where the program is restored; --evasive-devices looks for it in /dev.',
  });
}

export function unknownDevice(subject: Subject, number: string): CrtsError {
  const name = usualName(number)?.slice('/dev/'.length) ?? driverOf(number);
  return new CrtsError({
    code: 'CRTS_FD_KIND',
    kind: 'refused',
    plugin: PLUGIN,
    ...subject,
    what: `no plugin carries the character device ${number}${name === '' ? '' : ` (${name})`}`,
    hint: `Add a plugin that carries it with --plugin, leave it outside (--external 'dev[${number.replace(':', '/')}]:NAME'), or dump when the program has closed it.`,
  });
}
