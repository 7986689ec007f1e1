import type { EventpollFileEntry, EventpollTfdEntry } from '@crts/image-io';
import { rawSyscall } from '@crts/native-syscalls';
import {
  type Arg,
  type FdDumpContext,
  type FdFacts,
  type FdFinishContext,
  type FdHandler,
  type FileRecord,
  type Program,
  setStatusFlags,
} from '@crts/plugin-api';
import { badEntry, foreignTarget } from './errors';
import { parseWatched, type Watched } from './fdinfo';
import { emitWatches, highestNumber, isFired } from './plan';
import { findElsewhere, type Holder, isInPlace, readyEvents, type Watcher } from './targets';

const FD_TYPE_EVENTPOLL = 7;
/** Of ioctl(2): struct epoll_params, eight bytes, since Linux 6.9. */
const EPIOCSPARAMS = 0x40088a01;
const EPIOCGPARAMS = 0x80088a02;
const PARAMS_SIZE = 8;
const EPOLL_CLOEXEC = 0o2000000;
/** fs.nr_open: no descriptor has a higher number. */
const NUMBER_END = 2 ** 30;
/** In CRIU's eyes a number that is not open: it does not know targets in other tasks, and must not take a wrong one. */
const NOWHERE = 0xffff_ffff;

export const epollHandler: FdHandler = {
  name: 'fd-epoll',

  match: (fd) => (fd.link === 'anon_inode:[eventpoll]' ? 10 : 0),

  dump(fd: FdFacts, context: FdDumpContext): FileRecord {
    const value: EventpollFileEntry = {
      id: context.id,
      flags: fd.flags,
      fown: context.fown as EventpollFileEntry['fown'],
      tfd: [],
    };
    const params = new Uint8Array(PARAMS_SIZE);
    if (rawSyscall('ioctl', fd.local, EPIOCGPARAMS, params) === 0 && params.some((byte) => byte !== 0))
      value.crts_params = Buffer.from(params);
    const isInFlight = fd.fd < 0;
    const watcher: Watcher = {
      task: context.task,
      // The duplicates of what is in flight stay until all was looked at.
      holder: isInFlight ? { hostPid: process.pid, fd: fd.local } : { hostPid: context.task.hostPid, fd: fd.fd },
      descriptors: context.descriptors,
      inFlight: context.inFlight,
    };
    context.afterAll(() => {
      value.tfd = parseWatched(fd.fdinfo).map((watched) => dumpWatched(watched, watcher, fd.fd, context.id));
    });
    return { type: FD_TYPE_EVENTPOLL, field: 'epfd', value };
  },

  owns: (record) => record.field === 'epfd',

  collect(record: FileRecord): void {
    const { id, tfd, crts_params } = record.value as EventpollFileEntry;
    if (crts_params !== undefined && crts_params.length !== PARAMS_SIZE)
      throw badEntry(id, 'parameters of another size');
    for (const { tfd: number, crts_number, crts_file } of tfd) {
      const registered = crts_number ?? number;
      if (registered >= NUMBER_END || (crts_file === undefined && number >= NUMBER_END))
        throw badEntry(id, `impossible fd ${registered}`);
    }
  },

  plan(record: FileRecord, program: Program): Arg {
    const { flags, crts_params } = record.value as EventpollFileEntry;
    const fd = program.call('epoll_create1', [EPOLL_CLOEXEC], { what: 'make an epoll' });
    if (crts_params !== undefined)
      program.call('ioctl', [fd, EPIOCSPARAMS, program.bytes(crts_params)], { what: 'busy polling' });
    setStatusFlags(program, fd, flags, 0);
    return fd;
  },

  highestNumber: (record) => highestNumber(record.value as EventpollFileEntry),

  finish(record: FileRecord, fd: Arg, program: Program, context: FdFinishContext): void {
    emitWatches(record.value as EventpollFileEntry, fd, program, context);
  },
};

function dumpWatched(watched: Watched, watcher: Watcher, fd: number, id: number): EventpollTfdEntry {
  const { number, events, data, pos, ino, dev } = watched;
  const entry: EventpollTfdEntry = { id, tfd: number, events, data, dev, inode: ino, pos: BigInt.asUintN(64, pos) };
  let target: Holder = { hostPid: watcher.task.hostPid, fd: number };
  if (!isInPlace(watcher, watched)) {
    const found = findElsewhere(watcher, watched);
    if (found === undefined) {
      const where = `device ${dev >> 20}:${dev & 0xfffff}, inode ${ino}`;
      throw foreignTarget(watcher.task.pid, fd, number, where);
    }
    target = found;
    entry.crts_number = number;
    const isHere = found.task === watcher.task;
    entry.tfd = isHere ? found.fd : NOWHERE;
    if (!isHere) entry.crts_file = found.id;
  }
  if (isFired(events)) entry.crts_fired = readyEvents(target);
  return entry;
}
