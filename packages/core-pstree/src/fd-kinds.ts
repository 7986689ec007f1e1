/** What a descriptor that no plugin carries is, for the one who has to do something about it. */

import type { FdFacts } from '@crts/plugin-api';

export interface FdKind {
  readonly name: string;
  /** The package of crts that carries it, where there is one: it was left out of this run. */
  readonly plugin?: string;
}

const S_IFMT = 0o170000;

/** Names in `anon_inode:NAME`, brackets left out: anon_inode_getfile() and its kind, all over the kernel. */
const ANONYMOUS: readonly (readonly [RegExp, string, string?])[] = [
  [/^eventfd$/, 'event counter', 'fd-eventfd'],
  [/^eventpoll$/, 'epoll', 'fd-epoll'],
  [/^timerfd$/, 'timer', 'fd-timerfd'],
  [/^signalfd$/, 'signalfd', 'fd-signalfd'],
  [/^pidfd$/, 'pidfd', 'fd-pidfd'],
  [/^inotify$/, 'inotify instance', 'fd-inotify'],
  [/^fanotify$/, 'fanotify group', 'fd-fanotify'],
  [/^io_uring$/, 'io_uring'],
  [/^userfaultfd$/, 'userfaultfd'],
  [/^perf_event$/, 'performance event'],
  [/^bpf-map$/, 'BPF map'],
  [/^bpf-prog$/, 'BPF program'],
  [/^bpf[-_]link$/, 'BPF link'],
  [/^(btf|bpf_iter|bpf_token)$/, 'BPF object'],
  [/^kvm-/, 'KVM virtual machine'],
  [/^(vfio|iommufd)/, 'VFIO device'],
  [/^(sync_file|dmabuf|syncobj_file)/, 'graphics buffer or fence'],
  [/^seccomp notify$/, 'seccomp listener'],
  [/^landlock-ruleset$/, 'Landlock rules'],
  [/^fscontext$/, 'file system being configured (fsopen)'],
];

/** Character devices by major and minor, `*` for all minors: Documentation/admin-guide/devices.txt. */
const DEVICES: ReadonlyMap<string, string> = new Map([
  ['1:1', 'physical memory (/dev/mem)'],
  ['1:11', 'kernel log (/dev/kmsg)'],
  ['10:135', 'real-time clock'],
  ['10:200', 'TUN/TAP interface'],
  ['10:229', 'FUSE connection'],
  ['10:232', 'KVM'],
  ['10:237', 'control of loop devices'],
  ['10:130', 'watchdog'],
  ['13:*', 'input device'],
  ['81:*', 'video device'],
  ['116:*', 'sound device'],
  ['195:*', 'NVIDIA GPU'],
  ['226:*', 'GPU (DRI)'],
  ['253:*', 'real-time clock'],
]);

const TYPES: ReadonlyMap<number, FdKind> = new Map<number, FdKind>([
  [0o140000, { name: 'socket', plugin: 'fd-unix' }],
  [0o100000, { name: 'regular file', plugin: 'fd-regular' }],
  [0o060000, { name: 'block device' }],
  [0o040000, { name: 'directory', plugin: 'fd-regular' }],
]);

/** Regular files that are none, by f_type of fstatfs. */
const KERNEL_FILES: ReadonlyMap<bigint, string> = new Map([
  [0x5345434dn, 'secret memory'],
  [0x19800202n, 'POSIX message queue'],
]);

/** From facts alone: `mode` and `rdev` of fstat, `link` of /proc/PID/fd, `fsType` of fstatfs. */
export function fdKind({
  link,
  mode,
  rdev,
  fsType,
}: Pick<FdFacts, 'link' | 'mode' | 'rdev'> & Partial<FdFacts>): FdKind {
  const anonymous = /^anon_inode:\[?(.*?)\]?$/.exec(link)?.[1];
  if (anonymous !== undefined) {
    const [, name, plugin] = ANONYMOUS.find(([pattern]) => pattern.test(anonymous)) ?? [];
    return { name: name ?? `anonymous inode ${anonymous}`, ...(plugin === undefined ? {} : { plugin }) };
  }
  if (link.startsWith('/memfd:')) return { name: 'memfd', plugin: 'fd-memfd' };
  if (link.startsWith('pipe:')) return { name: 'pipe', plugin: 'fd-pipe' };
  const inMemory = fsType === undefined ? undefined : KERNEL_FILES.get(fsType);
  if (inMemory !== undefined && (mode & S_IFMT) === 0o100000) return { name: inMemory };
  if (/^[a-z_]+:\[\d+\]$/.test(link) && !link.startsWith('socket:')) return { name: 'namespace' };
  if ((mode & S_IFMT) === 0o010000) return { name: 'FIFO' };
  if ((mode & S_IFMT) === 0o020000) return { name: deviceName(rdev) };
  return TYPES.get(mode & S_IFMT) ?? { name: 'file' };
}

function deviceName(rdev: bigint): string {
  const major = Number((rdev >> 8n) & 0xfffn);
  const minor = Number((rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n));
  return DEVICES.get(`${major}:${minor}`) ?? DEVICES.get(`${major}:*`) ?? `character device ${major}:${minor}`;
}
