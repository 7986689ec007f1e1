/** Segments of the IPC namespace that crts runs in: found, and made again with their number. */
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import type { CrtsSysvEntry } from '@crts/image-io';
import { errnoName, rawSyscall, shmidDs } from '@crts/native-syscalls';
import { hugePageBytes } from '@crts/plugin-api';
import { segmentNotMade, segmentTaken } from './errors';

const IPC_CREAT = 0o1000;
const IPC_EXCL = 0o2000;
const IPC_PRIVATE = 0;
const IPC_RMID = 0;
const IPC_SET = 1;
const IPC_STAT = 2;
const SHM_LOCK = 11;
/** Bits of shm_perm.mode beside the permissions: include/linux/shm.h. */
export const SHM_DEST = 0o1000;
const SHM_LOCKED = 0o2000;
const PERMISSIONS = 0o777;
const EEXIST = 17;
const PAGE = 4096n;
const NEXT_ID = '/proc/sys/kernel/shm_next_id';

export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** What the kernel says of segment `id`, or the name of its error. */
export function readSegment(id: number): CrtsSysvEntry | string {
  const bytes = Buffer.alloc(shmidDs.size);
  const result = rawSyscall('shmctl', id, IPC_STAT, bytes);
  if (result < 0) return errnoName(-result);
  return {
    id,
    key: Number(shmidDs.get(bytes, 'shm_perm.key')),
    size: BigInt(shmidDs.get(bytes, 'shm_segsz')),
    mode: Number(shmidDs.get(bytes, 'shm_perm.mode')),
    uid: Number(shmidDs.get(bytes, 'shm_perm.uid')),
    gid: Number(shmidDs.get(bytes, 'shm_perm.gid')),
    cpid: Number(shmidDs.get(bytes, 'shm_cpid')),
    boot_id: bootId(),
  };
}

/** Whether the segment is still there: its number is used again only after some 32,000 others. */
export function isThere(segment: CrtsSysvEntry): boolean {
  const now = readSegment(segment.id);
  if (typeof now === 'string') return false;
  // The key becomes IPC_PRIVATE when the segment is marked to be destroyed: do_shm_rmid(), ipc/shm.c.
  const isSameKey = now.key === segment.key || (now.mode & SHM_DEST) !== 0;
  // A creator outside of the pid namespace in which crts restores is shown as 0: pid_vnr(), kernel/pid.c.
  const isSameCreator = now.cpid === segment.cpid || now.cpid === 0;
  return isSameKey && now.size === segment.size && isSameCreator && now.boot_id === segment.boot_id;
}

/** @throws CrtsError when another segment has the number or the key */
export function checkFree({ id, key }: CrtsSysvEntry): void {
  if (typeof readSegment(id) !== 'string') throw segmentTaken(id, key, 'another segment has its number');
  if (key !== IPC_PRIVATE && rawSyscall('shmget', key, 0, 0) >= 0)
    throw segmentTaken(id, key, 'another segment has its key');
}

/** Makes the segment with its number, key, owner and mode. Returns a descriptor of its memory. */
export function makeSegment(segment: CrtsSysvEntry): number {
  const { id, key, size, mode, huge_flag: huge = 0 } = segment;
  checkFree(segment);
  setNextId(segment);
  const made = rawSyscall('shmget', key, size, IPC_CREAT | IPC_EXCL | (mode & PERMISSIONS) | huge);
  if (made === -EEXIST) throw segmentTaken(id, key, 'another segment has its key');
  if (made < 0) throw segmentNotMade(id, `shmget(size ${size})`, errnoName(-made), huge !== 0);
  try {
    // Somebody else may have taken the number between the two calls.
    if (made !== id) throw segmentTaken(id, key, `the kernel gave the number ${made}`);
    setOwner(segment);
    return openMemory(segment);
  } catch (error) {
    removeSegment(made);
    throw error;
  }
}

export function removeSegment(id: number): void {
  rawSyscall('shmctl', id, IPC_RMID, null);
}

/** man 5 proc: the number that the next segment gets. With CONFIG_CHECKPOINT_RESTORE. */
function setNextId({ id }: CrtsSysvEntry): void {
  try {
    writeFileSync(NEXT_ID, String(id));
  } catch (error) {
    throw segmentNotMade(id, `write to ${NEXT_ID}`, (error as NodeJS.ErrnoException).code);
  }
}

function setOwner({ id, uid, gid, mode }: CrtsSysvEntry): void {
  const bytes = Buffer.alloc(shmidDs.size);
  shmidDs.set(bytes, 'shm_perm.uid', uid);
  shmidDs.set(bytes, 'shm_perm.gid', gid);
  shmidDs.set(bytes, 'shm_perm.mode', mode & PERMISSIONS);
  const set = rawSyscall('shmctl', id, IPC_SET, bytes);
  if (set < 0) throw segmentNotMade(id, 'shmctl(IPC_SET)', errnoName(-set));
  const locked = (mode & SHM_LOCKED) === 0 ? 0 : rawSyscall('shmctl', id, SHM_LOCK, null);
  if (locked < 0) throw segmentNotMade(id, 'shmctl(SHM_LOCK)', errnoName(-locked));
}

function openMemory({ id, size, huge_flag }: CrtsSysvEntry): number {
  const start = rawSyscall('shmat', id, null, 0);
  if (start < 0 && start > -4096) throw segmentNotMade(id, 'shmat', errnoName(-start));
  try {
    const page = huge_flag === undefined ? PAGE : hugePageBytes(huge_flag);
    const end = BigInt(start) + ((size + page - 1n) & ~(page - 1n));
    return openSync(`/proc/self/map_files/${start.toString(16)}-${end.toString(16)}`, 'r+');
  } catch (error) {
    throw segmentNotMade(id, 'open of its mapping', (error as NodeJS.ErrnoException).code);
  } finally {
    rawSyscall('shmdt', start);
  }
}
