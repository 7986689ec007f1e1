/**
 * The kinds of image files: name, magic, messages. One line per kind; a plugin adds its own with registerKind().
 * Magics and names are facts of CRIU 4.2's format.
 */
import type { ImageRecord } from '@crts/plugin-api';
import { ImageError } from './errors';

/** First word of an image file. The inventory has none; service files (stats) have their own. */
export const IMAGE_MAGIC = 0x54564319;
export const SERVICE_MAGIC = 0x55105940;

export type Prefix = 'image' | 'service' | 'none' | 'raw';

/** Which message comes after those already read. */
export type MessageAt = (before: readonly ImageRecord[]) => string;

/** Bytes that follow an entry, padding included; `rest` are those left in the file. */
export type ExtraAfter = (entry: ImageRecord, rest: number, before: readonly ImageRecord[]) => number;

export interface ImageKind {
  readonly kind: string;
  /** File name, `%` standing for the id. */
  readonly pattern: string;
  readonly prefix: Prefix;
  /** As crit spells it. */
  readonly magicName: string;
  readonly magic: number;
  readonly messageAt: MessageAt;
  readonly extraAfter: ExtraAfter;
  /** Radix of the id in the file name. */
  readonly radix: number;
}

const none: ExtraAfter = () => 0;
const always =
  (message: string): MessageAt =>
  () =>
    message;
const firstThen =
  (first: string, then: string): MessageAt =>
  (before) =>
    before.length === 0 ? first : then;
const number = (entry: ImageRecord, field: string): number => Number(entry[field] ?? 0);
const pad = (size: number, to: number): number => Math.ceil(size / to) * to;

/** ipc_msg_entry is followed by `qnum` ipc_msg, each with its text padded to 8. */
const messageQueue: MessageAt = (before) => {
  let left = 0;
  for (const entry of before) left = 'qnum' in entry ? number(entry, 'qnum') : left - 1;
  return left > 0 ? 'ipc_msg' : 'ipc_msg_entry';
};

/** A ghost file's contents follow as a whole, or in chunks where the first entry says so. */
const ghostMessage: MessageAt = firstThen('ghost_file_entry', 'ghost_chunk_entry');
const ghostExtra: ExtraAfter = (entry, rest, before) => {
  if (before.length > 0) return number(entry, 'len');
  return entry.chunks === true ? 0 : rest;
};

type Row = readonly [
  kind: string,
  pattern: string,
  magicName: string,
  magic: number,
  message: string | MessageAt,
  extra?: ExtraAfter,
];

const ROWS: readonly Row[] = [
  ['fdinfo', 'fdinfo-%.img', 'FDINFO', 0x56213732, 'fdinfo_entry'],
  ['pagemap', 'pagemap-%.img', 'PAGEMAP', 0x56084025, firstThen('pagemap_head', 'pagemap_entry')],
  ['pagemap-shmem', 'pagemap-shmem-%.img', 'PAGEMAP', 0x56084025, firstThen('pagemap_head', 'pagemap_entry')],
  ['reg-files', 'reg-files.img', 'REG_FILES', 0x50363636, 'reg_file_entry'],
  ['ext-files', 'ext-files.img', 'EXT_FILES', 0x59255641, 'ext_file_entry'],
  ['ns-files', 'ns-files.img', 'NS_FILES', 0x61394011, 'ns_file_entry'],
  ['eventfd', 'eventfd.img', 'EVENTFD_FILE', 0x44523722, 'eventfd_file_entry'],
  ['eventpoll', 'eventpoll.img', 'EVENTPOLL_FILE', 0x45023858, 'eventpoll_file_entry'],
  ['eventpoll-tfd', 'eventpoll-tfd.img', 'EVENTPOLL_TFD', 0x44433746, 'eventpoll_tfd_entry'],
  ['signalfd', 'signalfd.img', 'SIGNALFD', 0x57323820, 'signalfd_entry'],
  ['inotify', 'inotify.img', 'INOTIFY_FILE', 0x48424431, 'inotify_file_entry'],
  ['inotify-wd', 'inotify-wd.img', 'INOTIFY_WD', 0x54562009, 'inotify_wd_entry'],
  ['fanotify', 'fanotify.img', 'FANOTIFY_FILE', 0x55096122, 'fanotify_file_entry'],
  ['fanotify-mark', 'fanotify-mark.img', 'FANOTIFY_MARK', 0x56506035, 'fanotify_mark_entry'],
  ['core', 'core-%.img', 'CORE', 0x55053847, 'core_entry'],
  ['ids', 'ids-%.img', 'IDS', 0x54432030, 'task_kobj_ids_entry'],
  ['mm', 'mm-%.img', 'MM', 0x57492820, 'mm_entry'],
  ['vmas', 'vmas-%.img', 'VMAS', 0x54123737, 'vma_entry'],
  ['pipes', 'pipes.img', 'PIPES', 0x56513555, 'pipe_entry'],
  ['pipes-data', 'pipes-data.img', 'PIPES_DATA', 0x56453709, 'pipe_data_entry', (entry) => number(entry, 'bytes')],
  ['fifo', 'fifo.img', 'FIFO', 0x58364939, 'fifo_entry'],
  ['fifo-data', 'fifo-data.img', 'FIFO_DATA', 0x59333054, 'pipe_data_entry', (entry) => number(entry, 'bytes')],
  ['pstree', 'pstree.img', 'PSTREE', 0x50273030, 'pstree_entry'],
  ['sigacts', 'sigacts-%.img', 'SIGACT', 0x55344201, 'sa_entry'],
  ['unixsk', 'unixsk.img', 'UNIXSK', 0x54373943, 'unix_sk_entry'],
  ['inetsk', 'inetsk.img', 'INETSK', 0x56443851, 'inet_sk_entry'],
  ['packetsk', 'packetsk.img', 'PACKETSK', 0x60454618, 'packet_sock_entry'],
  ['netlinksk', 'netlinksk.img', 'NETLINK_SK', 0x58005614, 'netlink_sk_entry'],
  ['sk-queues', 'sk-queues.img', 'SK_QUEUES', 0x56264026, 'sk_packet_entry', (entry) => number(entry, 'length')],
  ['itimers', 'itimers-%.img', 'ITIMERS', 0x57464056, 'itimer_entry'],
  ['posix-timers', 'posix-timers-%.img', 'POSIX_TIMERS', 0x52603957, 'posix_timer_entry'],
  ['creds', 'creds-%.img', 'CREDS', 0x54023547, 'creds_entry'],
  ['utsns', 'utsns-%.img', 'UTSNS', 0x54473203, 'utsns_entry'],
  ['ipcns-var', 'ipcns-var-%.img', 'IPC_VAR', 0x53115007, 'ipc_var_entry'],
  [
    'ipcns-shm',
    'ipcns-shm-%.img',
    'IPCNS_SHM',
    0x46283044,
    'ipc_shm_entry',
    (entry) => (entry.in_pagemaps === true ? 0 : pad(number(entry, 'size'), 4)),
  ],
  [
    'ipcns-msg',
    'ipcns-msg-%.img',
    'IPCNS_MSG',
    0x55453737,
    messageQueue,
    (entry) => ('msize' in entry ? pad(number(entry, 'msize'), 8) : 0),
  ],
  [
    'ipcns-sem',
    'ipcns-sem-%.img',
    'IPCNS_SEM',
    0x59573019,
    'ipc_sem_entry',
    (entry) => pad(2 * number(entry, 'nsems'), 8),
  ],
  ['fs', 'fs-%.img', 'FS', 0x51403912, 'fs_entry'],
  ['remap-fpath', 'remap-fpath.img', 'REMAP_FPATH', 0x59133954, 'remap_file_path_entry'],
  ['ghost-file', 'ghost-file-%.img', 'GHOST_FILE', 0x52583605, ghostMessage, ghostExtra],
  ['memfd', 'memfd.img', 'MEMFD_INODE', 0x48453499, 'memfd_inode_entry'],
  [
    'tcp-stream',
    'tcp-stream-%.img',
    'TCP_STREAM',
    0x51465506,
    'tcp_stream_entry',
    (entry) => number(entry, 'inq_len') + number(entry, 'outq_len'),
  ],
  ['mountpoints', 'mountpoints-%.img', 'MNTS', 0x55563928, 'mnt_entry'],
  ['netdev', 'netdev-%.img', 'NETDEV', 0x57373951, 'net_device_entry'],
  ['netns', 'netns-%.img', 'NETNS', 0x55933752, 'netns_entry'],
  ['autofs', 'autofs-%.img', 'AUTOFS', 0x49353943, 'autofs_entry'],
  ['binfmt-misc', 'binfmt-misc-%.img', 'BINFMT_MISC', 0x67343323, 'binfmt_misc_entry'],
  ['binfmt-misc-old', 'binfmt-misc.img', 'BINFMT_MISC', 0x67343323, 'binfmt_misc_entry'],
  ['tty', 'tty.img', 'TTY_FILES', 0x59433025, 'tty_file_entry'],
  ['tty-info', 'tty-info.img', 'TTY_INFO', 0x59453036, 'tty_info_entry'],
  ['tty-data', 'tty-data.img', 'TTY_DATA', 0x59413026, 'tty_data_entry'],
  ['filelocks', 'filelocks.img', 'FILE_LOCKS', 0x54323616, 'file_lock_entry'],
  ['rlimit', 'rlimit-%.img', 'RLIMIT', 0x57113925, 'rlimit_entry'],
  ['signal-s', 'signal-s-%.img', 'SIGNAL', 0x59255647, 'siginfo_entry'],
  ['signal-p', 'signal-p-%.img', 'SIGNAL', 0x59255647, 'siginfo_entry'],
  ['tunfile', 'tunfile.img', 'TUNFILE', 0x57143751, 'tunfile_entry'],
  ['cgroup', 'cgroup.img', 'CGROUP', 0x59383330, 'cgroup_entry'],
  ['timerfd', 'timerfd.img', 'TIMERFD', 0x50493712, 'timerfd_entry'],
  ['cpuinfo', 'cpuinfo.img', 'CPUINFO', 0x61404013, 'cpuinfo_entry'],
  ['seccomp', 'seccomp.img', 'SECCOMP', 0x64413049, 'seccomp_entry'],
  ['userns', 'userns-%.img', 'USERNS', 0x55474906, 'userns_entry'],
  ['files', 'files.img', 'FILES', 0x56303138, 'file_entry'],
  ['timens', 'timens-%.img', 'TIMENS', 0x43114433, 'timens_entry'],
  ['pidns', 'pidns-%.img', 'PIDNS', 0x61157326, 'pidns_entry'],
  ['bpfmap-file', 'bpfmap-file.img', 'BPFMAP_FILE', 0x57506142, 'bpfmap_file_entry'],
  [
    'bpfmap-data',
    'bpfmap-data.img',
    'BPFMAP_DATA',
    0x64324033,
    'bpfmap_data_entry',
    (entry) => number(entry, 'keys_bytes') + number(entry, 'values_bytes'),
  ],
  [
    'checksums',
    'crts-checksums',
    'CHECKSUMS',
    0x43525453,
    'crts_checksum_entry',
    (entry) => number(entry, 'sums_bytes'),
  ],
  ['apparmor', 'apparmor.img', 'APPARMOR', 0x59423047, 'apparmor_entry'],
  ['pidfd', 'pidfd.img', 'PIDFD', 0x54435556, 'pidfd_entry'],
];

/** Kinds whose ids are hexadecimal in the file name. */
const HEX_IDS = new Set(['ghost-file', 'tcp-stream']);

/** Files without magic and framing. */
const RAW: readonly (readonly [string, string])[] = [
  ['pages', 'pages-%.img'],
  ['ifaddr', 'ifaddr-%.img'],
  ['route', 'route-%.img'],
  ['route6', 'route6-%.img'],
  ['rule', 'rule-%.img'],
  ['iptables', 'iptables-%.img'],
  ['ip6tables', 'ip6tables-%.img'],
  ['nftables', 'nftables-%.img'],
  ['tmpfs', 'tmpfs-%.tar.gz.img'],
  ['tmpfs-dev', 'tmpfs-dev-%.tar.gz.img'],
  ['netns-ct', 'netns-ct-%.img'],
  ['netns-exp', 'netns-exp-%.img'],
];

function build([kind, pattern, magicName, magic, message, extra]: Row, prefix: Prefix = 'image'): ImageKind {
  const messageAt = typeof message === 'string' ? always(message) : message;
  return {
    kind,
    pattern,
    prefix,
    magicName,
    magic,
    messageAt,
    extraAfter: extra ?? none,
    radix: HEX_IDS.has(kind) ? 16 : 10,
  };
}

let table: Map<string, ImageKind> | undefined;

function kinds(): Map<string, ImageKind> {
  if (table !== undefined) return table;
  const all = [
    build(['inventory', 'inventory.img', 'INVENTORY', 0x58313116, 'inventory_entry'], 'none'),
    ...ROWS.map((row) => build(row)),
    build(['stats-dump', 'stats-dump', 'STATS', 0x57093306, 'stats_entry'], 'service'),
    build(['stats-restore', 'stats-restore', 'STATS', 0x57093306, 'stats_entry'], 'service'),
    build(['irmap-cache', 'irmap-cache', 'IRMAP_CACHE', 0x57004059, 'irmap_cache_entry'], 'service'),
    ...RAW.map(([kind, pattern]) => build([kind, pattern, '', 0, ''], 'raw')),
  ];
  table = new Map(all.map((kind) => [kind.kind, kind]));
  return table;
}

/** Adds a plugin's own kind. Its message is registered with registerMessage(). */
export function registerKind(row: {
  kind: string;
  pattern: string;
  magicName: string;
  magic: number;
  message: string;
  extraAfter?: ExtraAfter;
}): void {
  if (kinds().has(row.kind)) throw new RangeError(`image kind ${row.kind} exists already`);
  kinds().set(row.kind, build([row.kind, row.pattern, row.magicName, row.magic, row.message, row.extraAfter ?? none]));
}

export function imageKind(kind: string): ImageKind {
  const found = kinds().get(kind);
  if (found === undefined) throw new RangeError(`no image kind is named ${kind}`);
  return found;
}

export function imageKinds(): readonly ImageKind[] {
  return [...kinds().values()];
}

export function imageFileName(kind: ImageKind, id?: number): string {
  if (!kind.pattern.includes('%')) return kind.pattern;
  if (id === undefined) throw new RangeError(`image kind ${kind.kind} needs an id`);
  return kind.pattern.replace('%', id.toString(kind.radix));
}

/** Kind of a file by its magic and name; several kinds share one magic (pagemap, signal). */
export function kindByMagic(magic: number, file: string): ImageKind {
  const candidates = imageKinds().filter((kind) => kind.magic === magic && kind.prefix !== 'raw');
  const byName = candidates.find((kind) => namePattern(kind).test(file));
  const found = byName ?? candidates[0];
  if (found === undefined)
    throw new ImageError('CRTS_IMAGE_MAGIC', `magic 0x${magic.toString(16)} belongs to no known kind`, { file });
  return found;
}

function namePattern(kind: ImageKind): RegExp {
  return new RegExp(`^${kind.pattern.replace(/[.]/g, '\\.').replace('%', '[0-9a-f]+')}$`);
}
