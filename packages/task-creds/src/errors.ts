import { CrtsError } from '@crts/plugin-api';

export function keyring(tid: number, kind: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_KEYRING',
    kind: 'refused',
    plugin: 'task-creds',
    pid: tid,
    what: `the thread has a ${kind} keyring, whose keys cannot be taken along`,
    hint: 'Keep keys in the keyring of the user, which is outside of a dump.',
  });
}

/** `keys`: undefined where it cannot be read. */
export function sessionKeyring(
  tid: number,
  { serial, keys }: { readonly serial: number; readonly keys: number | undefined },
): CrtsError {
  return new CrtsError({
    code: 'CRTS_KEYRING',
    kind: 'refused',
    plugin: 'task-creds',
    pid: tid,
    what: `the keyring of its session, ${serial}, ${keys === undefined ? 'cannot be looked into, and it' : `holds keys of its own (${keys}), which`} cannot be taken along`,
    hint: `keyctl list ${serial} shows them. Keep keys in the keyring of the user (keyctl unlink KEY ${serial}), or start the program without them.`,
  });
}

export function labelled(pid: number, label: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_LSM_LABEL',
    kind: 'refused',
    plugin: 'task-creds',
    pid,
    what: `the task runs under the security label "${label}", which crts does not carry yet`,
    hint: 'Run the program unconfined.',
  });
}

export function badCredentials(what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: 'task-creds',
    what: `core_entry.thread_core.creds: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function missingCapability(what: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_CREDENTIALS',
    plugin: 'task-creds',
    what: `${what} cannot be given to the task`,
    errno,
    hint: 'crts must run as root with every capability that the dumped task had.',
  });
}
