/** What to do about an errno, where the error itself does not say. */
import type { ErrorFacts } from './errors';

type Failure = Pick<ErrorFacts, 'errno' | 'call' | 'path'>;

/** The first whose pattern is found in the call or the path; one without a pattern is for all others. */
type Hints = readonly (readonly [about: RegExp, hint: string] | string)[];

const lacks = (capability: string, more = '') =>
  `crts lacks ${capability}: run it as root of the initial user namespace, or give it the capability${more}.`;

const TRACING = /ptrace|\/proc\/\d+\/|process_vm|pidfd_getfd|kcmp/;
const CONTAINER = ' (in a container also allow it in the seccomp profile)';

const HINTS: Readonly<Record<string, Hints>> = {
  E2BIG: ['What is handed to the kernel is larger than it takes: is the kernel older than the one of the dump?'],
  EACCES: [
    [TRACING, lacks('CAP_SYS_PTRACE', CONTAINER)],
    'Check the permissions of the path and of every directory above it, or run crts as root.',
  ],
  EADDRINUSE: ['Somebody else has the address: end it, or choose another.'],
  EAGAIN: [
    [
      /clone|fork/,
      'No more processes may be made: raise ulimit -u, pids.max of the cgroup, or kernel.pid_max and kernel.threads-max.',
    ],
    [/mlock|mmap|io_uring/, 'The limit of locked memory is reached: raise ulimit -l.'],
  ],
  EBUSY: ['Something else uses it at this moment: end that, or try again.'],
  EDQUOT: [
    [/key/, 'The quota of keys of the user is used up: see /proc/key-users and kernel.keys.maxkeys.'],
    'The disk quota of the user is used up: free space, or choose another directory with -D.',
  ],
  EFBIG: ['Raise the file size limit of the shell that runs crts (ulimit -f).'],
  EIO: ['The disk or the device fails: see the log of the kernel (dmesg).'],
  ELOOP: ['The path has a symbolic link where none may be, or links that lead in a circle.'],
  EMFILE: [
    [/inotify/, 'Raise fs.inotify.max_user_instances.'],
    'No more descriptors may be opened: raise ulimit -n for crts, or the limit of the program (prlimit --nofile).',
  ],
  EMSGSIZE: ['The message is larger than the socket takes: raise net.core.wmem_max and try again.'],
  ENAMETOOLONG: ['The path is too long: give a shorter one.'],
  ENFILE: ['The machine has as many files open as it may: raise fs.file-max.'],
  ENOBUFS: ['The socket takes no more: raise net.core.wmem_max and try again.'],
  ENODEV: ['The device is not there: load its driver, or attach it.'],
  ENOENT: [
    [/\/proc\/\d+/, 'The process ended meanwhile: look for it and try again.'],
    [/\/proc\/|\/sys\//, 'The kernel does not have this: crts check says what is missing.'],
    'Put back what was there under this name.',
  ],
  ENOMEM: [
    [
      /mmap|mremap|mprotect|brk/,
      'There is no room for the mapping: see ulimit -v, vm.max_map_count, vm.overcommit_memory and memory.max of the cgroup.',
    ],
    'There is no memory left for it: free some, or raise ulimit -v and memory.max of the cgroup.',
  ],
  ENOSPC: [
    [/inotify|fanotify/, 'Raise fs.inotify.max_user_watches or fs.fanotify.max_user_marks.'],
    [/clone|unshare/, 'No more namespaces may be made: see /proc/sys/user.'],
    'Free space on that disk, or choose another directory with -D.',
  ],
  ENOSYS: ['This kernel, or a seccomp profile around crts, does not have the call: crts check says what is missing.'],
  ENOTDIR: ['A part of the path is no directory.'],
  ENXIO: ['The device is not there: load its driver, or attach it.'],
  EOPNOTSUPP: ['The file system or the device does not do this: crts check says what the kernel lacks.'],
  EPERM: [
    [/map_files|set_tid|PR_SET_MM|ns_last_pid/, lacks('CAP_CHECKPOINT_RESTORE', CONTAINER)],
    [TRACING, lacks('CAP_SYS_PTRACE', CONTAINER)],
    [/set(res|re|fs)?[ug]id|setgroups/, lacks('CAP_SETUID and CAP_SETGID')],
    [/rlimit/i, lacks('CAP_SYS_RESOURCE')],
    [/sched_|setpriority|ioprio|mempolicy|mbind|migrate_pages/, lacks('CAP_SYS_NICE')],
    [/mknod/, lacks('CAP_MKNOD')],
    [/chroot/, lacks('CAP_SYS_CHROOT')],
    [/chown/, lacks('CAP_CHOWN')],
    [/chmod|utimens|O_NOATIME/, lacks('CAP_FOWNER')],
    [/open_by_handle_at/, lacks('CAP_DAC_READ_SEARCH')],
    [/mlock|shmctl|HUGETLB/, lacks('CAP_IPC_LOCK')],
    [/timer_create|CLOCK_\w+_ALARM/, lacks('CAP_WAKE_ALARM')],
    [/\bkill|pidfd_send_signal|tgkill/, lacks('CAP_KILL')],
    [/mount|setns|unshare|fanotify|seccomp|bpf|ioctl/, lacks('CAP_SYS_ADMIN', CONTAINER)],
    `crts lacks a capability for it: run it as root of the initial user namespace${CONTAINER}.`,
  ],
  EROFS: ['The file system is mounted read-only: choose another directory, or mount it writable.'],
  ESRCH: ['The process ended meanwhile: look for it and try again.'],
  ESTALE: ['The file is gone from its server: mount the file system again.'],
  ETXTBSY: ['A program runs from the file, or it is written to: end that first.'],
};

/** @returns undefined where nothing useful is known */
export function errnoHint({ errno, call = '', path = '' }: Failure): string | undefined {
  const hints = HINTS[errno ?? ''] ?? [];
  const about = `${call} ${path}`;
  for (const hint of hints) {
    if (typeof hint === 'string') return hint;
    if (hint[0].test(about)) return hint[1];
  }
  return undefined;
}
