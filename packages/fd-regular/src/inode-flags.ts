/** What chattr(1) sets forbids later opens, not what is open already: may_open(), inode_permission() in fs/namei.c. */
import { rawSyscall } from '@crts/native-syscalls';

const FS_IOC_GETFLAGS = 0x80086601;
const FS_IMMUTABLE_FL = 0x10;
const FS_APPEND_FL = 0x20;
const O_ACCMODE = 3;
const O_APPEND = 0o2000;

/** Whether nobody opens the file any more as this description has it; undefined where somebody does, else what forbids it. */
export function forbidden(fd: number, flags: number): 'immutable' | 'append-only' | undefined {
  if ((flags & O_ACCMODE) === 0) return undefined;
  const inode = new Int32Array(2);
  if (rawSyscall('ioctl', fd, FS_IOC_GETFLAGS, inode) < 0) return undefined;
  if ((inode[0]! & FS_IMMUTABLE_FL) !== 0) return 'immutable';
  return (inode[0]! & FS_APPEND_FL) !== 0 && (flags & O_APPEND) === 0 ? 'append-only' : undefined;
}
