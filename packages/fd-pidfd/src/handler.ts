import type { PidfdEntry } from '@crts/image-io';
import {
  type Arg,
  type FdDumpContext,
  type FdFacts,
  type FdHandler,
  type FileRecord,
  type Program,
  setStatusFlags,
} from '@crts/plugin-api';
import { deadProcess, exitStatusOf } from './dead-process';
import { badEntry, foreignProcess, notOpened, otherThread, unknownFdinfo } from './errors';

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
      const isThread = (fd.flags & PIDFD_THREAD) !== 0;
      // Threads of tasks that come later are not known before.
      context.afterAll(() => refuseForeign(fd, Number(hostPid), isThread, context));
    }
    return { type: FD_TYPE_PIDFD, field: 'pidfd', value };
  },

  owns: (record) => record.field === 'pidfd',

  collect(record: FileRecord): void {
    const { id, nspid, crts_exit_status: status } = record.value as PidfdEntry;
    if (nspid !== GONE && (nspid < 1 || nspid > PID_MAX)) throw badEntry(id, `process ${nspid}`);
    if (status !== undefined && status > EXIT_STATUS_MAX) throw badEntry(id, `exit status ${status}`);
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

function refuseForeign(fd: FdFacts, hostPid: number, isThread: boolean, context: FdDumpContext): void {
  if (context.processes.has(hostPid)) return;
  const tasks = [context.task, ...context.descriptors.map(({ task }) => task)];
  const owner = isThread ? tasks.find((task) => task.threads.some(({ hostTid }) => hostTid === hostPid)) : undefined;
  throw owner === undefined ? foreignProcess(fd.pid, fd.fd, hostPid) : otherThread(fd.pid, fd.fd, hostPid);
}
