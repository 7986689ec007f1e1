import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'mm-layout';

/** A value that no kernel would take. Said of images, and at the dump of a task whose images would be such. */
export function badLayout(pid: number, what: string, kind: 'refused' | 'failed'): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    kind,
    plugin: PLUGIN,
    pid: kind === 'refused' ? pid : undefined,
    path: kind === 'failed' ? `mm-${pid}.img` : undefined,
    what: `mm_entry: ${what}`,
    hint:
      kind === 'refused'
        ? 'The kernel would not take this address space back: it was laid out by hand (PR_SET_MM).'
        : 'The image is damaged.',
  });
}

export function localDescriptors(pid: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_LDT',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    what: 'the task has segments of its own (modify_ldt), which crts does not carry',
    hint: 'Such are programs that run 16- or 32-bit code in a 64-bit process (Wine, dosemu).',
  });
}

export function noProtectionKeys(pid: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_CPU_PKEYS',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    what: 'the images hold memory protection keys, which this CPU does not have',
    hint: 'Restore on a machine whose /proc/cpuinfo lists ospke.',
  });
}

export function notSealed(pid: number, start: bigint, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_SEAL',
    plugin: PLUGIN,
    pid,
    what: `the mapping at 0x${start.toString(16)} cannot be sealed as it was`,
    call: 'mseal',
    errno,
    hint: 'Sealing needs Linux 6.10.',
  });
}

export function notExecutable(
  pid: number,
  path: string | undefined,
  errno: string,
  kind: 'refused' | 'failed',
): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_OPEN',
    kind,
    plugin: PLUGIN,
    pid,
    path,
    what: 'the executable of the task may not be executed any more, so that the kernel would not take it back',
    errno,
    hint: 'Give the file its execute permission again (chmod +x), or mount its filesystem without noexec.',
  });
}

export function layoutNotSet(pid: number, path: string | undefined, errno: string | undefined): CrtsError {
  if (errno === 'EACCES') return notExecutable(pid, path, errno, 'failed');
  return new CrtsError({
    code: 'CRTS_CALL_FAILED',
    plugin: PLUGIN,
    pid,
    path,
    what: 'the kernel does not take the layout of the address space',
    call: 'prctl(PR_SET_MM, PR_SET_MM_MAP)',
    errno,
    hint: LAYOUT_HINTS[errno ?? ''] ?? 'Report it with the images.',
  });
}

const LAYOUT_HINTS: Readonly<Record<string, string>> = {
  EPERM: 'Setting the executable needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN: run crts as root.',
  EINVAL:
    'An address, the size of the auxiliary vector, or RLIMIT_DATA of crts does not allow it; a kernel older than the one of the dump takes fewer words.',
};
