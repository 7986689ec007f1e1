import type { PidfdEntry } from '@crts/image-io';
import { errnoName, rawSyscall } from '@crts/native-syscalls';
import {
  type Arg,
  type FdDumpContext,
  type FdFacts,
  type FdHandler,
  type FdPlanContext,
  type FileRecord,
  type ImageRecord,
  type LateDescription,
  type Program,
  setStatusFlags,
} from '@crts/plugin-api';
import { deadProcess, exitStatusOf } from './dead-process';
import { badEntry, foreignProcess, notOpened, threadInUse, unknownFdinfo } from './errors';

const FD_TYPE_PIDFD = 20;
const O_RDWR = 2;
/** PIDFD_NONBLOCK is O_NONBLOCK, PIDFD_THREAD is O_EXCL: include/uapi/linux/pidfd.h. */
const O_NONBLOCK = 0o4000;
const PIDFD_THREAD = 0o200;
const OPEN_FLAGS = O_NONBLOCK | PIDFD_THREAD;
/** What fdinfo and the image say of a process that is gone. */
const GONE = -1;
/** Where nobody says how it ended: exit(0). */
const EXIT_OK = 0;
const EXIT_STATUS_MAX = 0xffff;
const PID_MAX = 2 ** 22;
const F_SETFL = 4;
/** O_APPEND, O_NONBLOCK, O_DIRECT, O_NOATIME: what fcntl(2) may set. */
const STATUS_FLAGS = 0o2000 | 0o4000 | 0o40000 | 0o1000000;
const EPOLL = 'anon_inode:[eventpoll]';

export const pidfdHandler: FdHandler = {
  name: 'fd-pidfd',

  match: (fd) => (fd.link === 'anon_inode:[pidfd]' ? 10 : 0),

  /** pidfd_show_fdinfo(), fs/pidfs.c: -1 for one that is gone, 0 for one that this pid namespace does not see. */
  dump(fd: FdFacts, context: FdDumpContext): FileRecord {
    const hostPid = /^Pid:\s*(-?\d+)$/m.exec(fd.fdinfo)?.[1];
    const pid = /^NSpid:.*?(-?\d+)$/m.exec(fd.fdinfo)?.[1];
    if (hostPid === undefined || pid === undefined) throw unknownFdinfo(fd.pid, fd.fd);
    const value: PidfdEntry = {
      id: context.id,
      ino: Number(BigInt.asUintN(32, fd.ino)),
      flags: fd.flags & ~O_RDWR,
      nspid: Number(pid),
      fown: context.fown as PidfdEntry['fown'],
    };
    if (Number(hostPid) === GONE) {
      const status = exitStatusOf(fd.local);
      if (status !== undefined) value.crts_exit_status = status;
    } else {
      // Threads of tasks that come later are not known before.
      context.afterAll(() => checkTarget(fd, Number(hostPid), context));
    }
    return { type: FD_TYPE_PIDFD, field: 'pidfd', value };
  },

  owns: (record) => record.field === 'pidfd',

  collect(record: FileRecord, context: FdPlanContext): void {
    const { id, nspid, crts_exit_status: status } = record.value as PidfdEntry;
    if (nspid !== GONE && (nspid < 1 || nspid > PID_MAX)) throw badEntry(id, `process ${nspid}`);
    if (status !== undefined && status > EXIT_STATUS_MAX) throw badEntry(id, `exit status ${status}`);
    if (isOfThread(record, context) && !idsOf(context, threadsOf).has(nspid)) throw badEntry(id, `thread ${nspid}`);
  },

  /** A thread that is no main thread exists when descriptors are open long since. */
  late(record: FileRecord, context: FdPlanContext): LateDescription | undefined {
    const { nspid, flags } = record.value as PidfdEntry;
    if (!isOfThread(record, context)) return undefined;
    return { what: `refer to thread ${nspid}`, open: () => openThread(nspid, flags) };
  },

  /** All that refer to one process that is gone are opened on one stand-in. */
  group(record: FileRecord): string | undefined {
    const { nspid, ino } = record.value as PidfdEntry;
    return nspid === GONE ? `pidfd:${ino}` : undefined;
  },

  planGroup(records, program): readonly Arg[] {
    const entries = records.map((record) => record.value as PidfdEntry);
    if (entries[0]!.nspid !== GONE) return entries.map((entry) => openLive(entry, program));
    const status = entries.find(({ crts_exit_status }) => crts_exit_status !== undefined)?.crts_exit_status ?? EXIT_OK;
    const late = deadProcess(
      status,
      entries.map(({ flags }) => flags & OPEN_FLAGS),
    );
    return late.map((one, index) => {
      const fd = program.receiveFd(one, { what: `a process that is gone (status ${status})` });
      const { flags } = entries[index]!;
      setStatusFlags(program, fd, flags, flags & O_NONBLOCK);
      return fd;
    });
  },

  plan: (record: FileRecord, program: Program): Arg => openLive(record.value as PidfdEntry, program),
};

function openLive({ nspid, flags }: PidfdEntry, program: Program): Arg {
  const fd = program.call('pidfd_open', [nspid, flags & OPEN_FLAGS], {
    what: `refer to process ${nspid}`,
    fail: (errno) => notOpened(nspid, errno),
  });
  setStatusFlags(program, fd, flags, flags & O_NONBLOCK);
  return fd;
}

function openThread(tid: number, flags: number): number {
  const fd = rawSyscall('pidfd_open', tid, flags & OPEN_FLAGS);
  if (fd < 0) throw notOpened(tid, errnoName(-fd));
  if (((flags ^ (flags & O_NONBLOCK)) & STATUS_FLAGS) !== 0) rawSyscall('fcntl', fd, F_SETFL, flags & STATUS_FLAGS);
  return fd;
}

/** Of a thread alone (PIDFD_THREAD) that is not the main one of a process of the images. */
function isOfThread(record: FileRecord, context: FdPlanContext): boolean {
  const { nspid, flags } = record.value as PidfdEntry;
  return (flags & PIDFD_THREAD) !== 0 && nspid !== GONE && !idsOf(context, (task) => [task.pid as number]).has(nspid);
}

const threadsOf = (task: ImageRecord) => (task.threads as number[] | undefined) ?? [];

function idsOf(context: FdPlanContext, of: (task: ImageRecord) => readonly number[]): Set<number> {
  return new Set(context.items('pstree').flatMap(({ value }) => of(value)));
}

function checkTarget(fd: FdFacts, hostPid: number, context: FdDumpContext): void {
  if (context.processes.has(hostPid)) return;
  const tasks = new Set([context.task, ...context.descriptors.map(({ task }) => task)]);
  const isThread = [...tasks].some(({ threads }) => threads.some(({ hostTid }) => hostTid === hostPid));
  if (!isThread || (fd.flags & PIDFD_THREAD) === 0) throw foreignProcess(fd.pid, fd.fd, hostPid);
  // Both are complete before there are threads.
  const who = `ino:${fd.ino.toString(16)} `;
  const isWatched = context.descriptors.some(({ facts }) => facts.link === EPOLL && facts.fdinfo.includes(who));
  if (isWatched) throw threadInUse(fd.pid, fd.fd, hostPid, 'and an epoll watches it');
  if (fd.fd < 0) throw threadInUse(fd.pid, undefined, hostPid, 'and is on its way through a socket');
}
