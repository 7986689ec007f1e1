/** Files that a dump left outside (--external), by the descriptors that a restore is handed for them (--inherit-fd). */
import { lateOpen } from '@crts/native-syscalls';
import type { Arg, Program, RunOptions } from '@crts/plugin-api';
import { notInherited, notReopened } from './file-errors';

const O_ACCMODE = 3;
const O_WRONLY = 1;
const O_APPEND = 0o2000;
const O_NOFOLLOW = 0o400000;

/**
 * Emits a description of its own, with the flags that the program's had; the caller's stays as it is.
 * @throws CrtsError CRTS_FILE_EXTERNAL when none is handed back
 */
export function openInherited(program: Program, key: string, flags: number, options: RunOptions): Arg {
  const fd = options.inherit?.fdFor(key);
  if (fd === undefined) throw notInherited(key, howOpen(flags));
  const source = lateOpen(
    () => `/proc/self/fd/${fd}`,
    flags & ~O_NOFOLLOW,
    (errno) => notReopened(key, fd, howOpen(flags), errno),
  );
  return program.receiveFd(source, { what: `open ${key} again, by descriptor ${fd} of the caller` });
}

function howOpen(flags: number): string {
  const access = flags & O_ACCMODE;
  const mode = access === O_WRONLY ? 'for writing' : access === 0 ? 'for reading' : 'for reading and writing';
  return (flags & O_APPEND) !== 0 ? `${mode} and appending` : mode;
}
