import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'mm-vdso';

/** An entry of the images that cannot be true on any kernel. */
export function badVdso(what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    what: `mm_entry.vmas: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function vdsoDiffers(how: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_VDSO_DIFFERS',
    kind: 'refused',
    plugin: PLUGIN,
    what: `the images were made under a kernel whose vdso ${how}`,
    hint: 'Restore under the kernel build that the dump was made with.',
  });
}

/** Said at the dump: its images could not be restored, on this kernel or another. */
export function vdsoChanged(pid: number, how: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_VMA_KIND',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    what: `the task's vdso is not as the kernel made it: it ${how}`,
    hint: 'The program moved, unmapped or patched it (a sandbox, a debugger), or CRIU restored it from another kernel. That is not carried.',
  });
}

export function insideVdso(tid: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_VDSO_INSIDE',
    kind: 'refused',
    plugin: PLUGIN,
    pid: tid,
    what: `the images were made under another kernel, while thread ${tid} was inside its vdso`,
    hint: 'Restore under the kernel build that the dump was made with, or dump again: a thread is there for a moment only.',
  });
}

export function hasUprobes(pid: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_UPROBES',
    kind: 'refused',
    plugin: PLUGIN,
    pid,
    what: 'the program has met a uprobe (perf, bpftrace, SystemTap), whose breakpoints may be in its code',
    hint: 'Remove the probes, then dump with --allow-uprobes; the kernel keeps the mark until the program ends.',
  });
}
