/** Files of /proc that belong to a thread: it is there when all else has been opened long since. */
import type { RegFileEntry } from '@crts/image-io';
import { closeFd, errnoName, rawSyscall } from '@crts/native-syscalls';
import { encodeName, type FdPlanContext, type LateDescription } from '@crts/plugin-api';
import { gone, notOpened, notSought } from './errors';
import { O_CLOEXEC, O_PATH, openFlags, S_IFMT, S_IFREG } from './open-flags';
import { NO_POSITION } from './validation';

const OF_A_THREAD = /^\/proc\/(?:\d+\/task\/)?(\d+)(?:\/|$)/;
const UPWARDS = /\/\.\.(\/|$)/;
const AT_FDCWD = -100;
const SEEK_SET = 0;
/** FASYNC: set with the owner. */
const O_ASYNC = 0o20000;

/** Undefined where the entry is not one of a thread of the images that is no main thread. */
export function lateEntry(entry: RegFileEntry, context: FdPlanContext): LateDescription | undefined {
  const { name, ext } = entry;
  const tid = Number(OF_A_THREAD.exec(name)?.[1]);
  if (ext === true || Number.isNaN(tid) || UPWARDS.test(name)) return undefined;
  const isThread = context
    .items('pstree')
    .some(({ value }) => value.pid !== tid && ((value.threads as number[] | undefined) ?? []).includes(tid));
  return isThread ? { what: `open ${name}`, open: () => openEntry(entry) } : undefined;
}

function openEntry({ name, flags, mode, pos }: RegFileEntry): number {
  const how = openFlags(flags & ~O_ASYNC, (mode ?? S_IFREG) & S_IFMT, false) | O_CLOEXEC;
  const fd = rawSyscall('openat', AT_FDCWD, Buffer.concat([encodeName(name), Buffer.alloc(1)]), how, 0);
  if (fd < 0) throw errnoName(-fd) === 'ENOENT' ? gone(name) : notOpened(name, errnoName(-fd));
  if (pos === 0n || pos === NO_POSITION || (flags & O_PATH) !== 0) return fd;
  const sought = rawSyscall('lseek', fd, pos, SEEK_SET);
  if (sought >= 0) return fd;
  closeFd(fd);
  throw notSought(name, pos, errnoName(-sought));
}
