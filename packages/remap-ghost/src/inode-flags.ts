/** What chattr(1) and project quotas keep of an inode: FS_IOC_GETFLAGS, FS_IOC_FSGETXATTR (include/uapi/linux/fs.h). */
import { closeSync, openSync } from 'node:fs';
import { INODE_FLAG, inodeFlags, rawSyscall } from '@crts/native-syscalls';
import { encodeName, type Logger } from '@crts/plugin-api';
import { callOn, errnoOf } from './calls';
import { O_CLOEXEC, O_NOATIME, O_NONBLOCK, O_RDONLY } from './constants';
import type { Ghost } from './image';

const FS_IOC_SETFLAGS = 0x40086602;
const FS_IOC_FSGETXATTR = 0x801c581f;
const FS_IOC_FSSETXATTR = 0x401c5820;
const FSXATTR = { SIZE: 28, PROJECT: 12 } as const;

/** What may be set, of FS_FL_USER_MODIFIABLE and of single file systems: NOCOW, JOURNAL_DATA, PROJINHERIT. */
export const SETTABLE = 0x380ff | 0x80_0000 | 0x4000 | 0x2000_0000;
/** Set last: they forbid what makes the file, and descriptions that may write. */
const LATE = INODE_FLAG.immutable | INODE_FLAG.append;

export interface InodeFlags {
  readonly flags: number;
  readonly project: number;
}

/** What of them a restore sets again; it reports what none can. */
export function readInodeFlags(fd: number, path: string, log: Logger): InodeFlags {
  const flags = inodeFlags(fd);
  if (flags === undefined) return { flags: 0, project: 0 };
  const lost = flags & (INODE_FLAG.encrypt | INODE_FLAG.verity);
  if (lost !== 0) log.warn({ path }, `inode flags of a deleted file are lost: 0x${lost.toString(16)}`);
  const attributes = Buffer.alloc(FSXATTR.SIZE);
  const isTold = rawSyscall('ioctl', fd, FS_IOC_FSGETXATTR, attributes) === 0;
  return { flags: flags & SETTABLE, project: isTold ? attributes.readUInt32LE(FSXATTR.PROJECT) : 0 };
}

/** Those that can be set while the file is made; some only while it is empty (FS_NOCOW_FL). */
export function setEarly(ghost: Ghost, path: string, log: Logger): void {
  const { flags, project } = ghost.inode;
  const early = flags & ~LATE;
  if (early !== 0) quietly(ghost, path, log, (fd) => setFlags(fd, path, early));
  if (project !== 0) quietly(ghost, path, log, (fd) => setProject(fd, path, project));
}

/** Those that forbid to change or to open it, when all descriptions are open. */
export function setLate(ghost: Ghost, path: string | undefined, log: Logger): void {
  const { flags } = ghost.inode;
  if ((flags & LATE) !== 0 && path !== undefined) quietly(ghost, path, log, (fd) => setFlags(fd, path, flags));
}

function setFlags(fd: number, path: string, wanted: number): void {
  const flags = new Int32Array([((inodeFlags(fd) ?? 0) & ~SETTABLE) | wanted, 0]);
  callOn(path, 'ioctl', fd, FS_IOC_SETFLAGS, flags);
}

function setProject(fd: number, path: string, project: number): void {
  const attributes = Buffer.alloc(FSXATTR.SIZE);
  callOn(path, 'ioctl', fd, FS_IOC_FSGETXATTR, attributes);
  attributes.writeUInt32LE(project, FSXATTR.PROJECT);
  callOn(path, 'ioctl', fd, FS_IOC_FSSETXATTR, attributes);
}

/** A file system may not know them. */
function quietly(ghost: Ghost, path: string, log: Logger, set: (fd: number) => void): void {
  try {
    const fd = openSync(encodeName(path), O_RDONLY | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
    try {
      set(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const { flags, project } = ghost.inode;
    const what = `0x${flags.toString(16)}${project === 0 ? '' : `, project ${project}`}`;
    log.warn({ path, errno: errnoOf(error) }, `a deleted file lost inode flags: ${what} are not taken here`);
  }
}
