/** How a task that is restored dead ends, so that its parent sees the status that is in the images. */
import { readFileSync, writeFileSync } from 'node:fs';
import { ProgramBuilder, rawSyscall, type StubTask } from '@crts/native-syscalls';
import { CrtsError } from '@crts/plugin-api';
import { emitOwner, type Owner } from './zombie-ids';

const PR_SET_NAME = 15;
const RLIMIT_CORE = 4;
const SIG_UNBLOCK = 1;
const SIGSET_BYTES = 8;
/** WCOREFLAG of a status, man 2 wait: the kernel sets it when it has written a core file. */
const CORE_DUMPED = 0x80;
/** FSCONFIG_CMD_CREATE, FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC: include/uapi/linux/mount.h */
const FSCONFIG_CMD_CREATE = 6;
const CLOEXEC = 1;
const DIRECTORY_MODE = 0o700;
const CORE_PATTERN = '/proc/sys/kernel/core_pattern';

export const dumpedCore = (exitCode: number): boolean => (exitCode & CORE_DUMPED) !== 0;

/** The last program of the task. `room`: prepareCore() said so. */
export function exitProgram(comm: string, exitCode: number, room: boolean, owner?: Owner): ProgramBuilder {
  const program = new ProgramBuilder();
  const signal = exitCode & 0x7f;
  program.call('prctl', [PR_SET_NAME, program.cstring(comm.slice(0, 15))]);
  if (owner !== undefined) emitOwner(program, owner, room);
  if (signal !== 0) {
    const limit = Buffer.alloc(16);
    // The hard limit, which nobody without privilege may pass; the stub has that of crts.
    if (room) rawSyscall('prlimit64', 0, RLIMIT_CORE, null, limit);
    limit.copyWithin(0, 8);
    program.call('prlimit64', [0, RLIMIT_CORE, program.bytes(limit), null]);
    const set = Buffer.alloc(SIGSET_BYTES);
    set.writeBigUInt64LE(1n << BigInt(signal - 1));
    const pid = program.call('getpid', []);
    program.call('kill', [pid, signal]);
    program.call('rt_sigprocmask', [SIG_UNBLOCK, program.bytes(set), null, SIGSET_BYTES]);
  }
  program.call('exit_group', [exitCode >> 8]);
  return program;
}

/**
 * A task that dumped core has to do so again for its status to say it. It does it in a tmpfs that is mounted nowhere and ends with
 * the task: relative names of cores are meant from the working directory, absolute ones from the root directory of the task
 * (do_coredump(), fs/coredump.c). False where cores go to a program or a socket, which must not see this one.
 */
export function prepareCore({ hostPid, task }: StubTask): boolean {
  const pattern = readFileSync(CORE_PATTERN, 'latin1').trim();
  if (pattern === '' || pattern.startsWith('|') || pattern.startsWith('@')) return false;
  const directories = pattern.split('/').slice(0, -1);
  try {
    // Registers alone.
    writeFileSync(`/proc/${hostPid}/coredump_filter`, '0');
    task.run((program) => {
      const what = 'a tmpfs for a core file that nobody sees';
      const fs = program.call('fsopen', [program.cstring('tmpfs'), CLOEXEC], { what });
      program.call('fsconfig', [fs, FSCONFIG_CMD_CREATE, null, null, 0], { what });
      program.call('fchdir', [program.call('fsmount', [fs, CLOEXEC, 0], { what })]);
      program.call('chroot', [program.cstring('.')]);
      for (let depth = 1; depth <= directories.length; depth++) {
        const path = directories.slice(0, depth).join('/');
        if (path !== '') program.call('mkdir', [program.cstring(path), DIRECTORY_MODE], { expect: 'any' });
      }
    });
    return true;
  } catch (error) {
    // Without CAP_SYS_ADMIN, or a kernel that has no fsopen(2): then without.
    if (error instanceof CrtsError || 'code' in (error as NodeJS.ErrnoException)) return false;
    throw error;
  }
}
