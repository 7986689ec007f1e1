import { CrtsError } from '@crts/plugin-api';

export function badPid(id: number, pid: number): CrtsError {
  return damaged(id, `process ${pid} is out of range`);
}

export function notNamed(id: number, pid: number): CrtsError {
  return damaged(id, `its name is none of process ${pid}`);
}

function damaged(id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_REFERENCE',
    path: 'remap-fpath.img',
    what: `file ${id}: ${what}`,
    hint: 'The image set is damaged, or mixed from several dumps.',
  });
}

/** A thread that ended in a process that lives, or a process whose pid was given out again. */
export function foreignEntry(pid: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_PROC_ENTRY',
    kind: 'refused',
    what: `the file belongs to a thread or process that is gone, and a living process has the pid ${pid}`,
    hint: 'Let the program close it, then dump: nothing opens such a file again.',
  });
}
