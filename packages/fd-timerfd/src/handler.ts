import type { TimerfdEntry } from '@crts/image-io';
import {
  type Arg,
  type FdDumpContext,
  type FdFacts,
  type FdHandler,
  type FdPlanContext,
  type FileRecord,
  type Program,
  type Settlement,
  setStatusFlags,
} from '@crts/plugin-api';
import { add, now, refreshedFdinfo, shifted } from './clock';
import { badEntry, notMade, unknownFdinfo } from './errors';
import { isZero, parseTimer } from './fdinfo';
import { isAbsolute, settleTimer } from './settle';

const FD_TYPE_TIMERFD = 17;
const O_NONBLOCK = 0o4000;
/** CLOCK_REALTIME, MONOTONIC, BOOTTIME, REALTIME_ALARM, BOOTTIME_ALARM: timerfd_create(2). */
const CLOCKS: ReadonlySet<number> = new Set([0, 1, 7, 8, 9]);
/** TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET. */
const SETTIME_FLAGS = 3;
const CANCEL_ON_SET = 2;
const NANOSECONDS = 1_000_000_000n;
const SECONDS_MAX = 2n ** 63n - 1n;

export const timerfdHandler: FdHandler = {
  name: 'fd-timerfd',

  match: (fd) => (fd.link === 'anon_inode:[timerfd]' ? 10 : 0),

  dump(fd: FdFacts, context: FdDumpContext): FileRecord {
    let state = parseTimer(fd.fdinfo);
    // Disarmed, or just expired: what is there now is the truth of either.
    if (state !== undefined && isZero(state.left)) state = parseTimer(refreshedFdinfo(fd.local));
    if (state === undefined) throw unknownFdinfo(fd.pid, fd.fd);
    const { clock, ticks, settimeFlags, left, interval } = state;
    // timerfd_clock_was_set(), fs/timerfd.c, counts one, and leaves the time that is left: one that has expired once has none.
    if ((settimeFlags & CANCEL_ON_SET) !== 0 && ticks > 0n && !isZero(left) && isZero(interval))
      context.log.warn(
        { pid: fd.pid, fd: fd.fd },
        'the clock was set and the program has not read so: after a restore it reads that the timer has expired, not ECANCELED',
      );
    const value: TimerfdEntry = {
      id: context.id,
      flags: fd.flags,
      fown: context.fown as TimerfdEntry['fown'],
      clockid: clock,
      ticks,
      settime_flags: settimeFlags,
      vsec: left.sec,
      vnsec: left.nsec,
      isec: interval.sec,
      insec: interval.nsec,
    };
    if (isAbsolute(settimeFlags) && !isZero(left)) {
      const expires = add(shifted(now(clock), clock, context.task.clockShift, 1n), left);
      value.crts_expires_sec = expires.sec;
      value.crts_expires_nsec = expires.nsec;
    }
    return { type: FD_TYPE_TIMERFD, field: 'tfd', value };
  },

  owns: (record) => record.field === 'tfd',

  collect(record: FileRecord): void {
    const entry = record.value as TimerfdEntry;
    const { id, clockid, settime_flags } = entry;
    if (!CLOCKS.has(clockid)) throw badEntry(id, `clock ${clockid}`);
    if ((settime_flags & ~SETTIME_FLAGS) !== 0) throw badEntry(id, `settime flags 0${settime_flags.toString(8)}`);
    for (const sec of [entry.vsec, entry.isec, entry.crts_expires_sec ?? 0n])
      if (sec > SECONDS_MAX) throw badEntry(id, `${sec} seconds`);
    for (const nsec of [entry.vnsec, entry.insec, entry.crts_expires_nsec ?? 0n])
      if (nsec >= NANOSECONDS) throw badEntry(id, `${nsec} nanoseconds`);
  },

  plan(record: FileRecord, program: Program): Arg {
    const { clockid, flags } = record.value as TimerfdEntry;
    const made = flags & O_NONBLOCK;
    const fd = program.call('timerfd_create', [clockid, made], {
      what: `make a timer of clock ${clockid}`,
      fail: (errno) => notMade(clockid, errno),
    });
    setStatusFlags(program, fd, flags, made);
    return fd;
  },

  /** As late as possible: the time that a restore takes is not the program's. */
  settle: (record: FileRecord, { clockShift }: FdPlanContext): Settlement | undefined =>
    settleTimer(record.value as TimerfdEntry, clockShift),
};
