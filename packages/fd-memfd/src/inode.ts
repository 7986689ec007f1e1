/** The memfd itself: what all descriptions and mappings of it have in common. */
import { fchmodSync, fchownSync, openSync } from 'node:fs';
import type { MemfdInodeEntry } from '@crts/image-io';
import { closeFd, cPath, type SyscallError, sharedAnonymousMemory, syscall } from '@crts/native-syscalls';
import { encodeName, type HeldObject, hugePageBytes, type ImageItem, MAP, type SharedObjects } from '@crts/plugin-api';
import { badInode, notMade } from './errors';

/** include/uapi/linux/memfd.h. */
export const MFD = { cloexec: 1, allowSealing: 2, hugeTlb: 4, noexecSeal: 8, exec: 0x10 } as const;
export const SEAL = { seal: 1, shrink: 2, grow: 4, write: 8, futureWrite: 0x10, exec: 0x20 } as const;
const ALL_SEALS = 0x3f;
const EXECUTE = 0o111;
const PERMISSIONS = 0o7777;
/** MFD_NAME_MAX_LEN, mm/memfd.c: NAME_MAX less the prefix. */
const NAME_MAX = 249;
const SIZE_MAX = 2n ** 63n - 1n;
const O_ACCMODE = 3;

/** Validates an entry of memfd.img. */
export function checkedInode({ value }: ImageItem): MemfdInodeEntry {
  const inode = value as unknown as MemfdInodeEntry;
  const bad = (what: string) => badInode(inode.inode_id, what);
  if (encodeName(inode.name).length > NAME_MAX || inode.name.includes('\0')) throw bad('no possible name');
  if (inode.size > SIZE_MAX) throw bad(`size ${inode.size}`);
  if ((inode.seals & ~ALL_SEALS) !== 0) throw bad(`seals 0x${inode.seals.toString(16)} have unknown bits`);
  const huge = inode.hugetlb_flag ?? 0;
  if ((huge & ~(MFD.hugeTlb | MAP.hugeSize)) !== 0) throw bad(`huge pages 0x${huge.toString(16)}`);
  if (inode.size % (hugeBytesOf(inode) ?? 1n) !== 0n) throw bad(`${inode.size} bytes in huge pages`);
  return inode;
}

/** Size of its pages, where they are huge TLB pages. */
export function hugeBytesOf({ hugetlb_flag = 0 }: MemfdInodeEntry): bigint | undefined {
  return (hugetlb_flag & MFD.hugeTlb) === 0 ? undefined : hugePageBytes(hugetlb_flag);
}

/** The memfd of this restore, which the engine makes and holds; its contents come from who takes it first. */
export function heldInode(shared: SharedObjects, inode: MemfdInodeEntry): HeldObject {
  return shared.hold(keyOf(inode), () => makeInode(inode));
}

export function isAnonymousInode({ crts_anonymous }: MemfdInodeEntry): boolean {
  return crts_anonymous === true;
}

/** Under which tasks share it. Shared anonymous memory is one object with that of its mappings, which are @crts/mm-shmem's. */
export function keyOf(inode: MemfdInodeEntry): string {
  return isAnonymousInode(inode) ? `shmem:${inode.shmid}` : `memfd:${inode.inode_id}`;
}

/** A descriptor of its own of a memfd, as open(2) of /proc/PID/fd/N gives one. */
export function reopened(held: HeldObject, inode: MemfdInodeEntry, flags: number): number {
  try {
    // Permission bits are set last and bind root too little to matter: CAP_DAC_OVERRIDE.
    return openSync(`/proc/self/fd/${held.take()}`, flags);
  } catch (error) {
    throw notMade(inode.name, `open(flags 0${flags.toString(8)})`, (error as NodeJS.ErrnoException).code);
  }
}

/** Whether the description may be the one that memfd_create(2) returned: open for both. */
export function isLikeOriginal(flags: number): boolean {
  return (flags & O_ACCMODE) === 2 && (flags & 0o10000000) === 0;
}

function makeInode(inode: MemfdInodeEntry): number {
  let fd = -1;
  try {
    fd = isAnonymousInode(inode) ? createAnonymous(inode) : create(inode);
    syscall('ftruncate', fd, inode.size);
    fchownSync(fd, inode.uid, inode.gid);
    if (inode.mode !== undefined) fchmodSync(fd, inode.mode & PERMISSIONS);
    return fd;
  } catch (error) {
    if (fd >= 0) closeFd(fd);
    const { errno, code, call, syscall: name } = error as SyscallError & NodeJS.ErrnoException;
    throw notMade(inode.name, call ?? name, typeof errno === 'string' ? errno : code);
  }
}

/**
 * A memfd that takes no seals has F_SEAL_SEAL. MFD_EXEC (Linux 6.3) tells that the execute bits are meant; sysctl
 * vm.memfd_noexec may forbid it, which does not matter to one that has none.
 */
function create({ name, seals, mode, hugetlb_flag = 0 }: MemfdInodeEntry): number {
  const sealing = (seals === SEAL.seal ? 0 : MFD.allowSealing) | hugetlb_flag;
  const isExecutable = mode === undefined || (mode & EXECUTE) !== 0;
  const kind = isExecutable ? MFD.exec : (seals & SEAL.exec) === 0 ? 0 : MFD.noexecSeal;
  try {
    return syscall('memfd_create', cPath(name), MFD.cloexec | sealing | kind);
  } catch (error) {
    if ((error as SyscallError).errno !== 'EINVAL' || kind === 0) throw error;
    return syscall('memfd_create', cPath(name), MFD.cloexec | sealing);
  }
}

function createAnonymous({ size, hugetlb_flag = 0 }: MemfdInodeEntry): number {
  return sharedAnonymousMemory(
    size,
    (hugetlb_flag & MFD.hugeTlb) === 0 ? 0 : MAP.hugeTlb | (hugetlb_flag & MAP.hugeSize),
  );
}
