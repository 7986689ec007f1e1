import type { EventpollFileEntry, EventpollTfdEntry } from '@crts/image-io';
import type { Arg, FdFinishContext, Program } from '@crts/plugin-api';
import { noTarget, notRegistered } from './errors';

const EPOLL_CTL_ADD = 1;
const EPOLLONESHOT = 1 << 30;
/** EPOLLEXCLUSIVE, WAKEUP, ONESHOT, ET: all that is left of the events of a one-shot that has fired (EP_PRIVATE_BITS). */
const PRIVATE = 0xf000_0000;
const F_DUPFD_CLOEXEC = 1030;
const O_CLOEXEC = 0o2000000;
/** struct epoll_event is packed: 32 bits of events, 64 of data. */
const EVENT_SIZE = 12;
/** Events asked for in one epoll_wait(2). */
const EVENTS_MAX = 1024;

export function isFired(events: number): boolean {
  return (events & EPOLLONESHOT) !== 0 && (events & ~PRIVATE) === 0;
}

/** Numbers under which things are registered need not be in use any more. */
export function highestNumber({ tfd }: EventpollFileEntry): number {
  return tfd.reduce((highest, entry) => Math.max(highest, entry.crts_number ?? -1), -1);
}

/**
 * One-shots that have fired come first: epoll_ctl(2) arms whatever it adds, so they are armed for what is ready and fired
 * again. One whose file is not ready for anything stays armed for EPOLLERR and EPOLLHUP, which the kernel always adds.
 */
export function emitWatches(entry: EventpollFileEntry, epoll: Arg, program: Program, context: FdFinishContext): void {
  const isReady = ({ crts_fired, events }: EventpollTfdEntry) => isFired(events) && (crts_fired ?? 0) !== 0;
  const fired = entry.tfd.filter(isReady);
  for (const watched of fired) emitWatch(watched, watched.events | watched.crts_fired!, epoll, program, context);
  for (let left = fired.length; left > 0; left -= EVENTS_MAX) {
    const count = Math.min(left, EVENTS_MAX);
    program.call('epoll_wait', [epoll, program.out(count * EVENT_SIZE), count, 0], {
      what: `let ${count} one-shots fire`,
    });
  }
  for (const watched of entry.tfd) if (!isReady(watched)) emitWatch(watched, watched.events, epoll, program, context);
}

/** The kernel knows a registration by file and number, so the file must have that number for a moment. */
function emitWatch(
  watched: EventpollTfdEntry,
  events: number,
  epoll: Arg,
  program: Program,
  context: FdFinishContext,
): void {
  const { id, tfd, data, crts_number: number = tfd, crts_file: file } = watched;
  const event = Buffer.alloc(EVENT_SIZE);
  event.writeUInt32LE(events >>> 0, 0);
  event.writeBigUInt64LE(data, 4);
  const add = () =>
    program.call('epoll_ctl', [epoll, EPOLL_CTL_ADD, number, program.bytes(event)], {
      what: `watch fd ${number}`,
      fail: (errno) => notRegistered(id, number, errno),
    });
  if (number === tfd && file === undefined) {
    add();
    return;
  }
  const source: Arg | undefined = file === undefined ? tfd : context.borrow(program, file);
  if (source === undefined) throw noTarget(id, file!);
  const holder = context.numbers.get(number);
  const aside =
    holder === undefined
      ? undefined
      : program.call('fcntl', [number, F_DUPFD_CLOEXEC, context.spare], { what: `put fd ${number} aside` });
  program.call('dup3', [source, number, O_CLOEXEC], { what: `let it be fd ${number}` });
  add();
  if (aside === undefined) program.call('close', [number]);
  else {
    program.call('dup3', [aside, number, holder!.cloexec ? O_CLOEXEC : 0], { what: `put fd ${number} back` });
    program.call('close', [aside]);
  }
  if (file !== undefined) program.call('close', [source]);
}
