/** What chattr(1) shows of an inode: include/uapi/linux/fs.h. */
import { rawSyscall } from './syscall';

const FS_IOC_GETFLAGS = 0x80086601;

export const INODE_FLAG = { immutable: 0x10, append: 0x20, encrypt: 0x800, verity: 0x10_0000 } as const;

/** Of an open file; undefined where its file system has none. */
export function inodeFlags(fd: number): number | undefined {
  const flags = new Int32Array(2);
  return rawSyscall('ioctl', fd, FS_IOC_GETFLAGS, flags) < 0 ? undefined : flags[0]!;
}
