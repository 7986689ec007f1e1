/** `crts check`: what crts needs of the kernel and of its caller, and what of CRIU's list of features it has. */
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import {
  closeFd,
  cPath,
  KCMP,
  kcmp,
  memfd,
  NT_X86_XSTATE,
  PAGE_IS,
  PTRACE_O_SUSPEND_SECCOMP,
  pagemapScan,
  pidfdGetfd,
  pidfdOpen,
  ptraceDetach,
  ptraceGetRegset,
  ptraceGetRseq,
  ptraceGetSigmask,
  ptraceInterrupt,
  ptracePeekSignals,
  ptraceSeize,
  ptraceSetOptions,
  rawSyscall,
  SyscallError,
  seqpacketPair,
  spawn,
  stubPath,
  syscall,
  UFFD_CREATE_FLAGS,
  UFFD_LAZY_FLAGS,
  uffdTellMissing,
  uffdTrackWrites,
  waitPid,
} from '@crts/native-syscalls';
import { checkFailed, noFeature, unknownFeature } from './errors';
import { print } from './output';
import type { Parsed } from './parse';
import { last } from './run';

/** Throws where the kernel, or the caller's privileges, do not have it. */
type Probe = () => void;

/** A name of CRIU's: a probe, or what crts does not carry. */
type Feature = Probe | string;

const CAPABILITIES = { CAP_SYS_PTRACE: 19, CAP_SYS_ADMIN: 21, CAP_CHECKPOINT_RESTORE: 40 } as const;
const EEXIST = -17;
const ENOENT = -2;
const EINVAL = -22;
const SIGKILL = 9;
const PR_SET_MM = 35;
const PR_SET_MM_MAP_SIZE = 15;
const PR_TIMER_CREATE_RESTORE_IDS = 77;
const PR_TIMER_CREATE_RESTORE_IDS_GET = 2;
const ARCH_MAP_VDSO_64 = 0x2003;
const SIOCUNIXFILE = 0x89e0;
const SO_BUF_LOCK = 72;
/** _IOW('T', 0, __u64), include/uapi/linux/timerfd.h */
const TFD_IOC_SET_TICKS = 0x40085400;
const KCMP_EPOLL_TFD = 7;
const LOCK_SH = 1;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const MFD_HUGETLB = 4;

/** What every dump and restore needs. */
const NEEDED: Readonly<Record<string, Probe>> = {
  'root, or CAP_SYS_PTRACE and CAP_CHECKPOINT_RESTORE': () => {
    needCapability('CAP_SYS_PTRACE');
    if (!hasCapability('CAP_SYS_ADMIN')) needCapability('CAP_CHECKPOINT_RESTORE');
  },
  'clone3 with set_tid (Linux 5.5)': cloneWithPid,
  'PAGEMAP_SCAN (Linux 6.7)': () => scan(PAGE_IS.present),
  'kcmp (CONFIG_KCMP)': () => void kcmp(process.pid, process.pid, KCMP.vm),
  'pidfd_getfd (Linux 5.6)': borrowDescriptor,
  'ptrace: seize, registers, signals': () =>
    traced((pid) => {
      ptraceGetRegset(pid, NT_X86_XSTATE);
      ptraceGetSigmask(pid);
      ptracePeekSignals(pid, true);
    }),
  'PTRACE_GET_RSEQ_CONFIGURATION (Linux 5.13)': () => traced((pid) => void ptraceGetRseq(pid)),
  'PR_SET_MM_MAP (CONFIG_CHECKPOINT_RESTORE)': mapsCanBeSet,
  'ARCH_MAP_VDSO (CONFIG_CHECKPOINT_RESTORE)': vdsoCanBeMapped,
  '/proc/PID/map_files': () => need(existsSync('/proc/self/map_files')),
  '/proc/PID/task/TID/children (CONFIG_PROC_CHILDREN)': () => need(existsSync('/proc/thread-self/children')),
};

const TCP = 'TCP connections';
const NET = 'network namespaces and devices';

/** The list of `criu check --feature` of CRIU 4.2. True is what crts can do on this kernel, not what the kernel could. */
const FEATURES: Readonly<Record<string, Feature>> = {
  mnt_id: () => needInFdinfo(/^mnt_id:/m),
  mem_dirty_track: trackWrites,
  aio_remap: makeRing,
  timerfd: ticksCanBeSet,
  tun: NET,
  tun_ns: NET,
  userns: 'user namespaces',
  fdinfo_lock: () => needInFdinfo(/^lock:/m, (fd) => void syscall('flock', fd, LOCK_SH)),
  seccomp_suspend: () => traced((pid) => ptraceSetOptions(pid, PTRACE_O_SUSPEND_SECCOMP)),
  seccomp_filters: filtersCanBeRead,
  loginuid: () => need(existsSync('/proc/self/loginuid')),
  cgroupns: 'cgroup namespaces',
  autofs: 'autofs mounts',
  tcp_half_closed: TCP,
  compat_cr: '32-bit programs',
  uffd: missingPagesAreTold,
  'uffd-noncoop': missingPagesAreTold,
  can_map_vdso: vdsoCanBeMapped,
  sk_ns: NET,
  sk_unix_file: socketFileOpens,
  net_diag_raw: 'raw sockets',
  nsid: NET,
  link_nsid: NET,
  kcmp_epoll: compareEpollTarget,
  timens: () => need(existsSync('/proc/self/timens_offsets')),
  external_net_ns: NET,
  clone3_set_tid: cloneWithPid,
  newifindex: NET,
  nftables: NET,
  has_ipt_legacy: NET,
  pidfd_store: 'the socket that a caller lends for pidfds',
  ns_pid: () => need(/^NSpid:/m.test(ownStatus())),
  apparmor_stacking: 'AppArmor profiles',
  network_lock_nftables: TCP,
  sockopt_buf_lock: bufferLock,
  memfd_hugetlb: hugeMemfd,
  move_mount_set_group: 'mount namespaces',
  openat2: 'mount namespaces',
  get_rseq_conf: () => traced((pid) => void ptraceGetRseq(pid)),
  ipv6_freebind: 'internet sockets',
  pagemap_scan: () => scan(PAGE_IS.present),
  timer_cr_ids: () => void syscall('prctl', PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET, 0, 0, 0),
  overlayfs_maps: 'mount namespaces',
  breakpoints: 'hardware breakpoints, which it does without,',
  pagemap_scan_guard_pages: () => scan(PAGE_IS.guard),
};

/** Experimental with CRIU: asked with --experimental and --all only. */
const EXPERIMENTAL = ['autofs', 'compat_cr'];

/** CONFIG_AIO; a ring has kept its context when it moves since Linux 3.19. */
function makeRing(): void {
  const id = Buffer.alloc(8);
  syscall('io_setup', 1, id);
  syscall('io_destroy', id.readBigUInt64LE(0));
}

function hugeMemfd(): void {
  syscall('close', syscall('memfd_create', cPath('check'), MFD_HUGETLB));
}

/** Prints as CRIU does. @throws CrtsError when something that was asked for is missing */
export function check(parsed: Parsed): void {
  const name = last(parsed, 'feature');
  if (name !== undefined) {
    if (!Object.hasOwn(FEATURES, name)) throw unknownFeature(name);
    const why = lack(FEATURES[name]!);
    if (why !== undefined) throw noFeature(name, why);
    print(`${name} is supported\n`);
    return;
  }
  const needed = missing(NEEDED, Object.keys(NEEDED));
  if (needed.length > 0) throw checkFailed('Does not look good', needed);
  const has = (option: string) => parsed.switches.has(option) || parsed.switches.has('all');
  const names = Object.keys(FEATURES).filter((one) => has(EXPERIMENTAL.includes(one) ? 'experimental' : 'extra'));
  const others = missing(FEATURES, names);
  if (others.length > 0) throw checkFailed('Looks good, but what some programs need is missing', others);
  print('Looks good.\n');
}

function missing(table: Readonly<Record<string, Feature>>, names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const why = lack(table[name]!);
    return why === undefined ? [] : [`${name}: ${why}`];
  });
}

function lack(feature: Feature): string | undefined {
  if (typeof feature === 'string') return `crts does not carry ${feature} yet`;
  try {
    feature();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function need(there: boolean, what = 'the kernel does not have it'): void {
  if (!there) throw new Error(what);
}

function ownStatus(): string {
  return readFileSync('/proc/self/status', 'latin1');
}

function hasCapability(name: keyof typeof CAPABILITIES): boolean {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(ownStatus())?.[1] ?? '0'}`);
  return ((effective >> BigInt(CAPABILITIES[name])) & 1n) === 1n;
}

function needCapability(name: keyof typeof CAPABILITIES): void {
  need(hasCapability(name), `${name} is missing`);
}

/** With a child that waits: the stub, which waits for a first message that never comes. */
function withChild(pid: number, action: (pid: number) => void): void {
  const [own, theirs] = seqpacketPair();
  try {
    const child = spawn({ path: stubPath(), doorbell: theirs, doorbellNumber: 3, pid, flags: 0n });
    try {
      action(child);
    } finally {
      rawSyscall('kill', child, SIGKILL);
      while (waitPid(child)?.status !== SIGKILL);
    }
  } finally {
    closeFd(own);
    closeFd(theirs);
  }
}

function traced(action: (pid: number) => void): void {
  withChild(0, (pid) => {
    ptraceSeize(pid, 0);
    ptraceInterrupt(pid);
    waitPid(pid);
    action(pid);
    ptraceDetach(pid);
  });
}

function cloneWithPid(): void {
  // From the top, where few are.
  for (let pid = Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8')) - 1; pid > 0; pid--) {
    try {
      withChild(pid, (child) => need(child === pid, `the pid is ${child}, not ${pid}`));
      return;
    } catch (error) {
      if (!(error instanceof SyscallError) || error.number !== -EEXIST) throw error;
    }
  }
}

function scan(category: bigint): void {
  const fd = openSync('/proc/self/pagemap', 'r');
  try {
    pagemapScan(fd, 0x10000n, 0x11000n, { inverted: 0n, required: 0n, anyOf: category, report: category });
  } finally {
    closeSync(fd);
  }
}

function trackWrites(): void {
  const fd = syscall('userfaultfd', UFFD_CREATE_FLAGS);
  try {
    uffdTrackWrites(fd);
  } finally {
    closeFd(fd);
  }
}

/** With all events: forks, moves and removals, which CRIU names apart. */
function missingPagesAreTold(): void {
  const fd = syscall('userfaultfd', UFFD_LAZY_FLAGS);
  try {
    uffdTellMissing(fd);
  } finally {
    closeFd(fd);
  }
}

function borrowDescriptor(): void {
  const pidfd = pidfdOpen(process.pid);
  try {
    closeFd(pidfdGetfd(pidfd, pidfd));
  } finally {
    closeFd(pidfd);
  }
}

function mapsCanBeSet(): void {
  syscall('prctl', PR_SET_MM, PR_SET_MM_MAP_SIZE, new Int32Array(1), 0, 0);
}

/** Refused where a vdso is mapped, after the kernel has looked at everything else: map_vdso_once(), arch/x86/entry/vdso/vma.c. */
function vdsoCanBeMapped(): void {
  const result = rawSyscall('arch_prctl', ARCH_MAP_VDSO_64, 0);
  if (result < 0 && result !== EEXIST) throw new SyscallError('arch_prctl(ARCH_MAP_VDSO_64)', -result);
}

/** PTRACE_SECCOMP_GET_FILTER: kernel/ptrace.c has it with both, and for CAP_SYS_ADMIN where the caller itself has no filter. */
function filtersCanBeRead(): void {
  mapsCanBeSet();
  need(/^Seccomp_filters:/m.test(ownStatus()));
  need(/^Seccomp:\s*0$/m.test(ownStatus()), 'crts itself runs under seccomp');
  needCapability('CAP_SYS_ADMIN');
}

function needInFdinfo(pattern: RegExp, prepare?: (fd: number) => void): void {
  const fd = memfd('check', 0);
  try {
    prepare?.(fd);
    need(pattern.test(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1')));
  } finally {
    closeFd(fd);
  }
}

function ticksCanBeSet(): void {
  const fd = syscall('timerfd_create', 1, 0);
  try {
    syscall('ioctl', fd, TFD_IOC_SET_TICKS, new BigUint64Array([1n]));
  } finally {
    closeFd(fd);
  }
}

function withSocket(action: (fd: number) => void): void {
  const fd = syscall('socket', AF_UNIX, SOCK_STREAM, 0);
  try {
    action(fd);
  } finally {
    closeFd(fd);
  }
}

/** ENOENT: this socket has no file. */
function socketFileOpens(): void {
  withSocket((fd) => {
    const result = rawSyscall('ioctl', fd, SIOCUNIXFILE, 0);
    if (result !== ENOENT) throw new SyscallError('ioctl(SIOCUNIXFILE)', result < 0 ? -result : -EINVAL);
  });
}

function bufferLock(): void {
  withSocket((fd) => void syscall('getsockopt', fd, SOL_SOCKET, SO_BUF_LOCK, new Int32Array(1), new Int32Array([4])));
}

function compareEpollTarget(): void {
  const epoll = syscall('epoll_create1', 0);
  const watched = syscall('eventfd2', 0, 0);
  try {
    // struct epoll_event is packed: 12 bytes. struct kcmp_epoll_slot: efd, tfd, toff.
    syscall('epoll_ctl', epoll, 1, watched, Buffer.alloc(12));
    const slot = new Int32Array([epoll, watched, 0]);
    need(syscall('kcmp', process.pid, process.pid, KCMP_EPOLL_TFD, watched, slot) === 0);
  } finally {
    closeFd(watched);
    closeFd(epoll);
  }
}
