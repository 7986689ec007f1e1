/** What a restore says on lazy-pages.socket: of each task a pid, and behind it the userfaultfd; of dead ones the negative pid. */
import { fstatSync, readlinkSync } from 'node:fs';
import {
  CONTROL_HEADER,
  closeFd,
  controlMessages,
  descriptorsIn,
  preadFull,
  receiveAll,
  receiveFull,
} from '@crts/native-syscalls';
import { badHello, restorerGone } from './errors';

/** LAZY_PAGES_RESTORE_FINISHED of CRIU. */
const FINISHED = 0x5253_5446;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const MSG_CTRUNC = 8;
const FDS_MAX = 8;

export interface Announced {
  readonly pid: number;
  readonly uffd: number;
  /** Of a restore of crts. */
  readonly pidfd: number | undefined;
  /** What the task misses, by a restore that has started the server itself. */
  readonly missing: readonly Stretch[] | undefined;
}

interface Stretch {
  readonly start: bigint;
  readonly end: bigint;
}

/** A mapping has 65,530 neighbours at most, and pages between holes: this is a TiB of every other page. */
const LIST_BYTES_MAX = 2n ** 31n;

/** Waits for all processes of an image set. `living` has the pids of those that have memory. */
export function receiveTasks(socket: number, count: number, living: ReadonlySet<number>): Announced[] {
  const tasks: Announced[] = [];
  try {
    for (let index = 0; index < count; index++) {
      const word = Buffer.alloc(4);
      if (!receiveFull(socket, word)) throw restorerGone(`after ${index} of ${count} processes`);
      const pid = word.readInt32LE(0);
      if (pid < 0) continue;
      const fds = receiveDescriptors(socket);
      const [uffd, pidfd, list] = fds;
      if (uffd === undefined) throw badHello(`no descriptor came with pid ${pid}`);
      tasks.push({ pid, uffd, pidfd, missing: list === undefined ? undefined : readList(list) });
      if (!living.has(pid) || tasks.some((other) => other.pid === pid && other.uffd !== uffd))
        throw badHello(`pid ${pid} is none that is to come`);
      if (readlinkSync(`/proc/self/fd/${uffd}`) !== 'anon_inode:[userfaultfd]')
        throw badHello(`the descriptor of pid ${pid} is no userfaultfd`);
    }
    return tasks;
  } catch (error) {
    for (const { uffd, pidfd } of tasks) {
      closeFd(uffd);
      if (pidfd !== undefined) closeFd(pidfd);
    }
    throw error;
  }
}

/** Takes the descriptor. */
function readList(fd: number): Stretch[] {
  try {
    const { size } = fstatSync(fd, { bigint: true });
    if (size % 16n !== 0n || size > LIST_BYTES_MAX) throw badHello(`a list of ${size} bytes`);
    const words = new BigUint64Array(Number(size / 8n));
    if (size > 0n) preadFull(fd, Buffer.from(words.buffer), 0n);
    return Array.from({ length: words.length / 2 }, (_, i) => ({ start: words[2 * i]!, end: words[2 * i + 1]! }));
  } finally {
    closeFd(fd);
  }
}

function receiveDescriptors(socket: number): number[] {
  const controlBytes = CONTROL_HEADER + 4 * FDS_MAX;
  const { result, control, flags } = receiveAll(socket, { dataBytes: 1, controlBytes }, MSG_CMSG_CLOEXEC);
  if (result <= 0) throw restorerGone('in the middle of a process');
  const fds = descriptorsIn(controlMessages(control));
  if ((flags & MSG_CTRUNC) === 0) return fds;
  // More came than any restore sends: what fitted is not wanted either.
  for (const fd of fds) closeFd(fd);
  return [];
}

/** Reads what came after the tasks: true when the restore is done. */
export function hasFinished(socket: number): boolean {
  const word = Buffer.alloc(4);
  try {
    if (!receiveFull(socket, word)) return false;
  } catch {
    return false;
  }
  return word.readUInt32LE(0) === FINISHED;
}
