import { SyscallError } from './errors';
import { rawSyscall } from './syscall';

/** include/uapi/asm-generic/poll.h */
export const POLL = { in: 1, out: 4, error: 8, hangUp: 16, invalid: 32, peerClosed: 0x2000 } as const;
const EINTR = 4;
/** struct pollfd. */
const POLLFD_BYTES = 8;

/**
 * Waits until something of `fds` is ready, at most `milliseconds` (negative: without end). What is ready of each, in their
 * order; all zero when the time is over.
 */
export function poll(fds: readonly { readonly fd: number; readonly events: number }[], milliseconds: number): number[] {
  const set = Buffer.alloc(Math.max(1, fds.length) * POLLFD_BYTES);
  fds.forEach(({ fd, events }, index) => {
    set.writeInt32LE(fd, index * POLLFD_BYTES);
    set.writeUInt16LE(events, index * POLLFD_BYTES + 4);
  });
  for (;;) {
    const result = rawSyscall('poll', set, fds.length, milliseconds);
    if (result === -EINTR) continue;
    if (result < 0) throw new SyscallError('poll', -result);
    return fds.map((_, index) => set.readUInt16LE(index * POLLFD_BYTES + 6));
  }
}
