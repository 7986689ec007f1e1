/** Which descriptor of the tree is the file that an epoll watches. */
import { closeFd, pidfdGetfd, pidfdOpen, rawSyscall } from '@crts/native-syscalls';
import type { FrozenTask, TreeDescriptor } from '@crts/plugin-api';
import { inodeOf, type Watched } from './fdinfo';

const KCMP_EPOLL_TFD = 7;
/** A signal of the engine's own interrupts also a look that does not wait: do_poll(), fs/select.c. */
const EINTR = 4;
/** Events that poll(2) tells: EPOLLIN, PRI, OUT, RDNORM, RDBAND, WRNORM, WRBAND, MSG, RDHUP. */
const POLLABLE = 0x1 | 0x2 | 0x4 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000;

/** An epoll of the tree: a descriptor of it, and a way to the descriptors of all others. */
export interface Watcher {
  readonly task: FrozenTask;
  /** A process that has the epoll open, under this number: the engine itself where it is in flight in a socket. */
  readonly holder: { readonly hostPid: number; readonly fd: number };
  readonly descriptors: readonly TreeDescriptor[];
}

/** Whether descriptor `fd` of `task` is the very file that was registered: kcmp(2) with KCMP_EPOLL_TFD. */
function isTarget(watcher: Watcher, watched: Watched, task: FrozenTask, fd: number): boolean {
  // struct kcmp_epoll_slot: the epoll and the number are those of the second task.
  const slot = new Int32Array([watcher.holder.fd, watched.number, watched.rank]);
  return rawSyscall('kcmp', task.hostPid, watcher.holder.hostPid, KCMP_EPOLL_TFD, fd, slot) === 0;
}

/** The usual case: the number still refers to what was registered under it. */
export function isInPlace(watcher: Watcher, watched: Watched): boolean {
  return isTarget(watcher, watched, watcher.task, watched.number);
}

/** Another descriptor of it, best in the epoll's own task; by inode first, so that few are asked about. */
export function findElsewhere(watcher: Watcher, watched: Watched): TreeDescriptor | undefined {
  const asked = new Set<number>();
  let found: number | undefined;
  for (const { id, task, fd, facts } of watcher.descriptors) {
    if (asked.has(id) || inodeOf(facts.fdinfo) !== watched.ino) continue;
    asked.add(id);
    if (!isTarget(watcher, watched, task, fd)) continue;
    found = id;
    break;
  }
  const all = watcher.descriptors.filter(({ id }) => id === found);
  return all.find(({ task }) => task === watcher.task) ?? all[0];
}

/** What poll(2) says of a descriptor now. */
export function readyEvents({ task, fd }: { task: FrozenTask; fd: number }): number {
  const pidfd = pidfdOpen(task.hostPid);
  try {
    const local = pidfdGetfd(pidfd, fd);
    const pollfd = Buffer.alloc(8);
    pollfd.writeInt32LE(local, 0);
    pollfd.writeInt16LE(POLLABLE, 4);
    while (rawSyscall('poll', pollfd, 1, 0) === -EINTR);
    closeFd(local);
    return pollfd.readInt16LE(6) & POLLABLE;
  } finally {
    closeFd(pidfd);
  }
}
