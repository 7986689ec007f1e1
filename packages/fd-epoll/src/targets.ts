/** Which descriptor of the tree is the file that an epoll watches. */
import { closeFd, pidfdGetfd, pidfdOpen, rawSyscall } from '@crts/native-syscalls';
import type { FrozenTask, TreeDescriptor } from '@crts/plugin-api';
import { inodeOf, type Watched } from './fdinfo';

const KCMP_EPOLL_TFD = 7;
/** A signal of the engine's own interrupts also a look that does not wait: do_poll(), fs/select.c. */
const EINTR = 4;
/** Events that poll(2) tells: EPOLLIN, PRI, OUT, RDNORM, RDBAND, WRNORM, WRBAND, MSG, RDHUP. */
const POLLABLE = 0x1 | 0x2 | 0x4 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000;

/** A process, the engine itself for what is in flight in a socket, and a number that it has. */
export interface Holder {
  readonly hostPid: number;
  readonly fd: number;
}

/** A description of the tree; `task` has it open. */
interface Found extends Holder {
  readonly id: number;
  readonly task: FrozenTask | undefined;
}

/** An epoll of the tree: a descriptor of it, and a way to the descriptors of all others. */
export interface Watcher {
  readonly task: FrozenTask;
  /** Who has the epoll open. */
  readonly holder: Holder;
  readonly descriptors: readonly TreeDescriptor[];
  /** What the engine has of sockets' queues. */
  readonly inFlight: readonly TreeDescriptor[];
}

/** Whether it is the very file that was registered: kcmp(2) with KCMP_EPOLL_TFD. */
function isTarget(watcher: Watcher, watched: Watched, { hostPid, fd }: Holder): boolean {
  // struct kcmp_epoll_slot: the epoll and the number are those of the second task.
  const slot = new Int32Array([watcher.holder.fd, watched.number, watched.rank]);
  return rawSyscall('kcmp', hostPid, watcher.holder.hostPid, KCMP_EPOLL_TFD, fd, slot) === 0;
}

/** The usual case: the number still refers to what was registered under it. */
export function isInPlace(watcher: Watcher, watched: Watched): boolean {
  return isTarget(watcher, watched, { hostPid: watcher.task.hostPid, fd: watched.number });
}

/**
 * Another descriptor of it, best in the epoll's own task, at worst one that is in flight; by inode first, so that few are asked
 * about.
 */
export function findElsewhere(watcher: Watcher, watched: Watched): Found | undefined {
  const open = ({ task, fd, id }: TreeDescriptor): Found => ({ hostPid: task.hostPid, fd, id, task });
  const found = firstTarget(watcher, watched, watcher.descriptors, open);
  if (found === undefined)
    return firstTarget(watcher, watched, watcher.inFlight, ({ fd, id }) => ({
      hostPid: process.pid,
      fd,
      id,
      task: undefined,
    }));
  const here = watcher.descriptors.find(({ id, task }) => id === found.id && task === watcher.task);
  return here === undefined ? found : open(here);
}

function firstTarget(
  watcher: Watcher,
  watched: Watched,
  descriptors: readonly TreeDescriptor[],
  holderOf: (one: TreeDescriptor) => Found,
): Found | undefined {
  const asked = new Set<number>();
  for (const one of descriptors) {
    if (asked.has(one.id) || inodeOf(one.facts.fdinfo) !== watched.ino) continue;
    asked.add(one.id);
    const holder = holderOf(one);
    if (isTarget(watcher, watched, holder)) return holder;
  }
  return undefined;
}

/** What poll(2) says of a descriptor now. */
export function readyEvents({ hostPid, fd }: Holder): number {
  const pidfd = pidfdOpen(hostPid);
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
