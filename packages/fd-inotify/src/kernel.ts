/** Calls on an inotify instance; a test puts a kernel of its own in their place. */
import { pathArgument } from '@crts/file-handles';
import { rawSyscall } from '@crts/native-syscalls';

const FIONREAD = 0x541b;
/** Settable only with CONFIG_CHECKPOINT_RESTORE: inotify_ioctl(), fs/notify/inotify/inotify_user.c. */
const INOTIFY_IOC_SETNEXTWD = 0x4004_4900;

export interface InotifyKernel {
  /** 0 or a negative errno. */
  setNextWd(wd: number): number;
  /** The number of the watch or a negative errno. */
  add(path: string, mask: number): number;
  remove(wd: number): void;
  queuedBytes(): number;
  /** Reads whole events, at most `sizeBytes`; answers how many bytes. */
  read(sizeBytes: number): number;
}

export function inotifyKernel(fd: number): InotifyKernel {
  return {
    setNextWd: (wd) => rawSyscall('ioctl', fd, INOTIFY_IOC_SETNEXTWD, wd),
    add: (path, mask) => rawSyscall('inotify_add_watch', fd, pathArgument(path), mask),
    remove: (wd) => void rawSyscall('inotify_rm_watch', fd, wd),
    queuedBytes: () => queuedBytes(fd),
    read: (sizeBytes) => rawSyscall('read', fd, Buffer.alloc(sizeBytes), sizeBytes),
  };
}

/** Size of the queue. Reading it, also through a duplicate, would take the events from the program. */
export function queuedBytes(fd: number): number {
  const size = Buffer.alloc(4);
  return rawSyscall('ioctl', fd, FIONREAD, size) === 0 ? size.readInt32LE(0) : 0;
}
