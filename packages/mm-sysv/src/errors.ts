import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'mm-sysv';

export function badSegment(range: string, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    what: `vma_entry ${range}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function ofNamespace(range: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_PLUGIN',
    kind: 'refused',
    plugin: PLUGIN,
    what: `${range} is shared memory of a dumped IPC namespace, which crts does not restore yet`,
    hint: 'Restore the images with criu.',
  });
}

export function partlyAttached(pid: number, id: number, range: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_SYSV_PART',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    what: `of System V shared memory ${id} at ${range} a part was unmapped, and shmat(2) attaches whole segments only`,
    hint: 'Dump when the program has detached it.',
  });
}

export function segmentGone(pid: number, id: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_SYSV_GONE',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    what: `the task has System V shared memory ${id} attached, which is not in this IPC namespace`,
    call: `shmctl(${id}, IPC_STAT)`,
    errno,
    hint: 'Run crts in the IPC namespace in which the segment was made.',
  });
}

export function segmentTaken(id: number, key: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_SYSV_TAKEN',
    plugin: PLUGIN,
    what: `System V shared memory ${id} (key 0x${(key >>> 0).toString(16)}) cannot be made again: ${what}`,
    hint: `See who has it with "ipcs -m -i ${id}", and remove it with ipcrm when nobody needs it.`,
  });
}

export function segmentNotMade(id: number, call: string, errno: string | undefined, isHuge = false): CrtsError {
  const lacksPages = isHuge && errno === 'ENOMEM';
  return new CrtsError({
    code: lacksPages ? 'CRTS_HUGE_PAGES' : 'CRTS_SYSV_MAKE',
    plugin: PLUGIN,
    what: `System V shared memory ${id} cannot be made again`,
    call,
    errno,
    hint: lacksPages
      ? 'The kernel has too few huge TLB pages: raise nr_hugepages in /sys/kernel/mm/hugepages.'
      : errno === 'EINVAL' || errno === 'ENOSPC'
        ? 'Raise kernel.shmmax, kernel.shmall or kernel.shmmni to what they were.'
        : 'Its number is chosen in /proc/sys/kernel/shm_next_id, which needs root.',
  });
}
