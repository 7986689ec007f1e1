/** Processes that are gone: what the kernel still tells of one, and a stand-in for it. */
import { closeFd, launchStub, rawSyscall, type StubTask, stubAreaSize, syscall, waitPid } from '@crts/native-syscalls';
import { CrtsError, type LateFd } from '@crts/plugin-api';

/** _IOWR(0xFF, 11, struct pidfd_info), first version of 64 bytes. */
const PIDFD_GET_INFO = 0xc040ff0b;
const INFO_SIZE = 64;
const INFO_EXIT_CODE = 60;
/** Asked for in the first word, and set there in the answer: since Linux 6.15. */
const PIDFD_INFO_EXIT = 8n;
const SIGNAL = 0x7f;
const RLIMIT_CORE = 4;
const SIG_UNBLOCK = 1;
const SIGSET_BYTES = 8;
/** Room for the stand-in's one program, somewhere in its address space. */
const PROGRAM_BYTES = 4096;
const AREA_START = 0x1000_0000_0000n;
const DOORBELL = 3;

/** How a process that was waited for ended, as wait(2) told it; undefined where the kernel does not say. */
export function exitStatusOf(pidfd: number): number | undefined {
  const info = Buffer.alloc(INFO_SIZE);
  info.writeBigUInt64LE(PIDFD_INFO_EXIT, 0);
  if (rawSyscall('ioctl', pidfd, PIDFD_GET_INFO, info) < 0) return undefined;
  return (info.readBigUInt64LE(0) & PIDFD_INFO_EXIT) === 0n ? undefined : info.readInt32LE(INFO_EXIT_CODE);
}

/**
 * Descriptors of a process that is gone: when the first is asked for, a process is made, opened with the flags of each, ends
 * as the other did, and is waited for.
 */
export function deadProcess(exitStatus: number, flags: readonly number[]): readonly LateFd[] {
  let fds: readonly number[] | undefined;
  return flags.map((_, index) => ({
    take() {
      fds ??= openAndBury(exitStatus, flags);
      return fds[index]!;
    },
    sent() {
      closeFd(fds![index]!);
    },
  }));
}

function openAndBury(exitStatus: number, flags: readonly number[]): readonly number[] {
  const area = { start: AREA_START, end: AREA_START + stubAreaSize(PROGRAM_BYTES) };
  const stub = launchStub({ pid: 0, flags: 0n, area, doorbellNumber: DOORBELL });
  const fds = flags.map((one) => syscall('pidfd_open', stub.hostPid, one));
  end(stub, exitStatus);
  return fds;
}

function end(stub: StubTask, exitStatus: number): void {
  const signal = exitStatus & SIGNAL;
  // A stand-in leaves no core.
  syscall('prlimit64', stub.hostPid, RLIMIT_CORE, new BigUint64Array(2), null);
  try {
    stub.task.run((program) => {
      const all = program.bytes(Buffer.alloc(SIGSET_BYTES, 0xff));
      if (signal !== 0) {
        program.call('rt_sigprocmask', [SIG_UNBLOCK, all, null, SIGSET_BYTES]);
        program.call('kill', [stub.hostPid, signal]);
      }
      program.call('exit_group', [exitStatus >> 8]);
    });
  } catch (error) {
    // It is to be gone.
    if (!(error instanceof CrtsError)) throw error;
  }
  stub.close();
  waitPid(stub.hostPid);
}
