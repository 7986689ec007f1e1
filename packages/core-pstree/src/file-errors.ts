/** Errors about files that their names do not lead to. */
import { CrtsError } from '@crts/plugin-api';

const refused = (code: string, file: Named, what: string, hint: string, more: object = {}): CrtsError =>
  new CrtsError({ code, kind: 'refused', what, hint, stage: 'dump', ...file, ...more });

export function helperPidTaken(pid: number, holder: string, remedy = `Stop process ${pid}`): CrtsError {
  return new CrtsError({
    code: 'CRTS_HELPER_PID',
    stage: 'restore',
    pid,
    what: `the program has a file of /proc open of a process that is dead, and its pid is in use by ${holder}`,
    call: 'clone3(set_tid)',
    errno: 'EEXIST',
    hint: `${remedy}, or restore in a new pid namespace.`,
  });
}

export function notInherited(key: string, how: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_EXTERNAL',
    kind: 'refused',
    stage: 'restore',
    what: `${key} was left outside the dump (--external) and is not handed back`,
    hint: `Open it ${how} as descriptor N of crts, and pass --inherit-fd 'fd[N]:${key}'.`,
  });
}

export function notReopened(key: string, fd: number, how: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_EXTERNAL',
    stage: 'restore',
    fd,
    what: `the descriptor of crts that is handed back for ${key} cannot be opened again ${how}`,
    call: 'open',
    errno,
    hint: `Pass one whose file allows it: --inherit-fd 'fd[N]:${key}'.`,
  });
}

interface Named {
  readonly pid: number;
  readonly fd: number | undefined;
  readonly path: string;
}

/** Only where no plugin for it is loaded. */
export function nameless(file: Named): CrtsError {
  return refused(
    'CRTS_FILE_UNLINKED',
    file,
    'the name under which the file is open was removed, and no plugin carries such files',
    'Add @crts/remap-ghost.',
  );
}

export function replaced(file: Named): CrtsError {
  return refused(
    'CRTS_FILE_REPLACED',
    file,
    'another file has this name now: a mount lies over it, or it is on a mount that crts does not see',
    'Take the upper mount away, or leave the file outside: see --external file[MNT:INODE].',
  );
}

export function unreachable(file: Named, errno: string | undefined): CrtsError {
  return refused(
    'CRTS_FILE_UNREACHABLE',
    file,
    'the file cannot be reached by its name',
    'It may lie in another mount namespace, or on a mount that was detached: see --external file[MNT:INODE].',
    { call: 'stat', errno },
  );
}

/** d_path() in /proc has one page for a name: do_proc_readlink(), fs/proc/base.c. */
export function linkUnread(pid: number, error: unknown): unknown {
  if (!(error instanceof CrtsError) || error.errno !== 'ENAMETOOLONG' || error.path === undefined) return error;
  return refused(
    'CRTS_FILE_UNREACHABLE',
    { pid, fd: undefined, path: error.path },
    'the name of the file is longer than a path may be',
    'Dump when the program has closed it, or rename a directory above it to a shorter name.',
    { call: 'readlink', errno: 'ENAMETOOLONG' },
  );
}

export function noHugePage(shmid: number, pageBytes: bigint, errno: string | undefined): CrtsError {
  const size = pageBytes / 1024n;
  return new CrtsError({
    code: 'CRTS_HUGE_PAGES',
    stage: 'restore',
    what: `shared memory ${shmid} cannot be filled: the kernel has no huge TLB page of ${size} kB for it`,
    call: 'pread64',
    errno,
    hint: `Raise /sys/kernel/mm/hugepages/hugepages-${size}kB/nr_hugepages.`,
  });
}
