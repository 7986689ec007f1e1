/** A hierarchy of cgroups as crts sees it, by a mount that nobody else sees: it need not be mounted anywhere. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { closeFd, cPath, rawSyscall, SyscallError } from '@crts/native-syscalls';
import { encodeName } from '@crts/plugin-api';
import { cgroupFrozen, noHierarchy, notMoved } from './errors';

/** include/uapi/linux/mount.h */
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
/** FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC */
const CLOEXEC = 1;
const NAMED = 'name=';

export interface Hierarchy {
  has(path: string): boolean;
  /** @throws CrtsError CRTS_CGROUP_MOVE, CRTS_CGROUP_FROZEN */
  move(hostTid: number, path: string, isThread: boolean): void;
}

/** `name` is that of a hierarchy in /proc/self/cgroup: one that there is not the kernel would make. */
export function withHierarchy<R>(name: string, use: (hierarchy: Hierarchy) => R): R {
  const mount = mountOf(name);
  const place = (path: string, file: string) =>
    Buffer.concat([Buffer.from(`/proc/self/fd/${mount}`), encodeName(path), Buffer.from(`/${file}`)]);
  try {
    return use({
      has: (path) => existsSync(place(path, '')),
      move(hostTid, path, isThread) {
        if (isFrozen(place(path, name === '' ? 'cgroup.events' : 'freezer.state'))) throw cgroupFrozen(hostTid, path);
        const file = !isThread ? 'cgroup.procs' : name === '' ? 'cgroup.threads' : 'tasks';
        try {
          writeFileSync(place(path, file), String(hostTid), { flag: 'r+' });
        } catch (error) {
          throw notMoved(hostTid, path, (error as NodeJS.ErrnoException).code);
        }
      },
    });
  } finally {
    closeFd(mount);
  }
}

/** A task that is put into a frozen cgroup stops at once. The topmost ones, and hierarchies without a freezer, have no such file. */
function isFrozen(file: Buffer): boolean {
  try {
    return /^(?:frozen 1|FROZEN|FREEZING)$/m.test(readFileSync(file, 'latin1'));
  } catch {
    return false;
  }
}

function mountOf(name: string): number {
  const call = (
    syscall: string,
    ...args: Parameters<typeof rawSyscall> extends [string, ...infer Args] ? Args : never
  ) => {
    const result = rawSyscall(syscall, ...args);
    if (result < 0) throw noHierarchy(name, syscall, new SyscallError(syscall, -result).errno);
    return result;
  };
  const fs = call('fsopen', cPath(name === '' ? 'cgroup2' : 'cgroup'), CLOEXEC);
  try {
    // A named hierarchy may have controllers too.
    for (const part of name === '' ? [] : name.split(','))
      if (part.startsWith(NAMED))
        call('fsconfig', fs, FSCONFIG_SET_STRING, cPath('name'), cPath(part.slice(NAMED.length)), 0);
      else call('fsconfig', fs, FSCONFIG_SET_FLAG, cPath(part), null, 0);
    call('fsconfig', fs, FSCONFIG_CMD_CREATE, null, null, 0);
    return call('fsmount', fs, CLOEXEC, 0);
  } finally {
    closeFd(fs);
  }
}
