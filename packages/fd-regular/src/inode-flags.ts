/** What chattr(1) sets forbids later opens, not what is open already: may_open(), inode_permission() in fs/namei.c. */
import { INODE_FLAG, inodeFlags } from '@crts/native-syscalls';

const O_ACCMODE = 3;
const O_APPEND = 0o2000;

/** Whether nobody opens the file any more as this description has it; undefined where somebody does, else what forbids it. */
export function forbidden(fd: number, flags: number): 'immutable' | 'append-only' | undefined {
  if ((flags & O_ACCMODE) === 0) return undefined;
  const inode = inodeFlags(fd) ?? 0;
  if ((inode & INODE_FLAG.immutable) !== 0) return 'immutable';
  return (inode & INODE_FLAG.append) !== 0 && (flags & O_APPEND) === 0 ? 'append-only' : undefined;
}
