import { CrtsError } from '@crts/plugin-api';

export function compatTask(pid: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_COMPAT_TASK',
    kind: 'refused',
    plugin: 'task-regs',
    pid,
    what: 'a 32-bit task',
    hint: 'crts dumps 64-bit x86 programs only.',
  });
}

export function oddAddress(pid: number, register: string, value: bigint): CrtsError {
  return new CrtsError({
    code: 'CRTS_REGISTER_ADDRESS',
    kind: 'refused',
    plugin: 'task-regs',
    pid,
    what: `${register} is 0x${value.toString(16)}, no user address`,
    hint: `The program uses ${register} for something else: dump at another moment.`,
  });
}

export function shadowStack(pid: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_SHADOW_STACK',
    kind: 'refused',
    plugin: 'task-regs',
    pid,
    what: 'the task has a shadow stack (CET)',
    hint: 'Start the program with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off.',
  });
}

export function xstateInUse(pid: number, components: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_XSTATE_UNKNOWN',
    kind: 'refused',
    plugin: 'task-regs',
    pid,
    what: `the thread uses extended state that no image field holds: ${components}`,
    hint: 'Dump while the program does not use it.',
  });
}

export function tilesNotAllowed(errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_CPU_XSTATE',
    plugin: 'task-regs',
    what: 'the images hold AMX tiles, which the task may not use here',
    call: 'arch_prctl(ARCH_REQ_XCOMP_PERM)',
    errno,
    hint: 'Restore on a machine whose CPU and kernel have AMX.',
  });
}

export function cpuLacks(components: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_CPU_XSTATE',
    kind: 'refused',
    plugin: 'task-regs',
    what: `the images hold registers that this CPU does not have: ${components}`,
    hint: 'Restore on a machine whose CPU has them.',
  });
}

export function badRegisters(field: string, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: 'task-regs',
    what: `core_entry.thread_info.${field}: ${what}`,
    hint: 'The image is damaged or of another architecture.',
  });
}
