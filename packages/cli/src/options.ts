/** The options of crts: CRIU's names and meanings (criu --help, criu/config.c), and our own at the end. */

export type Action =
  | 'dump'
  | 'pre-dump'
  | 'restore'
  | 'check'
  | 'dedup'
  | 'compress'
  | 'decompress'
  | 'page-server'
  | 'lazy-pages';

export interface OptionRow {
  readonly name: string;
  readonly short?: string;
  /** Name of the argument; absent for a switch. */
  readonly argument?: string;
  /** The argument may be left out, and is only ever joined: `--name=value`, `-xvalue` (man 3 getopt). */
  readonly optional?: boolean;
  /** The switch has a `--no-` twin. */
  readonly twin?: boolean;
  /** What the option is recorded as, where CRIU has two names for one thing. */
  readonly means?: string;
  /** Switches of one group exclude each other; the last one counts, as with CRIU. */
  readonly group?: string;
  /** Actions that take it; empty: known from CRIU, and refused. */
  readonly actions: readonly Action[];
  /** Actions that take it too, for which it means nothing: a command line may serve several. */
  readonly idle?: readonly Action[];
  readonly help?: string;
}

const both: readonly Action[] = ['dump', 'pre-dump', 'restore'];
const servers: readonly Action[] = ['page-server', 'lazy-pages'];
const every: readonly Action[] = [...both, 'check', 'dedup', 'compress', 'decompress', ...servers];
/** Those that may talk with another machine. */
const talkers: readonly Action[] = ['dump', 'pre-dump', ...servers];
/** What a pre-dump does without: it takes what a dump takes, so that a command line serves both. */
const dumps: readonly Action[] = ['dump', 'pre-dump'];

const SUPPORTED: readonly OptionRow[] = [
  { name: 'tree', short: 't', argument: 'PID', actions: dumps, help: 'checkpoint the process tree with this root' },
  {
    name: 'images-dir',
    short: 'D',
    argument: 'DIR',
    actions: every,
    help: 'directory of the image files (default: the current one)',
  },
  {
    name: 'work-dir',
    short: 'W',
    argument: 'DIR',
    actions: every,
    help: 'directory of log, pidfile and statistics (default: that of the images)',
  },
  {
    name: 'log-file',
    short: 'o',
    argument: 'FILE',
    actions: every,
    help: 'write the log to FILE in the work directory; - is stdout',
  },
  {
    name: 'verbosity',
    short: 'v',
    argument: 'NUM',
    optional: true,
    actions: every,
    help: '-v0 to -v4: nothing, errors, warnings (default), information, everything; -v adds one',
  },
  {
    name: 'leave-running',
    short: 'R',
    group: 'final',
    actions: dumps,
    help: 'let the program go on after the dump',
  },
  { name: 'leave-stopped', short: 's', group: 'final', actions: both, help: 'leave the program stopped' },
  {
    name: 'shell-job',
    short: 'j',
    twin: true,
    actions: both,
    help: 'the program is a job of a shell: its session and terminal are not its own',
  },
  { name: 'file-locks', short: 'l', twin: true, actions: both, help: 'carry file locks' },
  {
    name: 'restore-detached',
    short: 'd',
    twin: true,
    actions: ['restore', ...servers],
    help: 'leave when the program is restored; of the servers: go on in the background',
  },
  { name: 'daemon', twin: true, means: 'restore-detached', actions: ['restore', ...servers], help: 'the same' },
  {
    name: 'restore-sibling',
    short: 'S',
    twin: true,
    actions: ['restore'],
    help: 'make the program a child of the caller of crts; needs -d',
  },
  {
    name: 'pidfile',
    argument: 'FILE',
    actions: ['restore', ...servers],
    idle: dumps,
    help: 'write the pid of the restored program, or of the server in the background, to FILE, a new file in the work directory',
  },
  {
    name: 'file-validation',
    argument: 'METHOD',
    actions: both,
    help: 'recognise files by size and build id (buildid, default), or by size alone (filesize)',
  },
  {
    name: 'skip-file-rwx-check',
    twin: true,
    actions: ['restore'],
    idle: dumps,
    help: 'permissions of files may differ from those at the dump',
  },
  {
    name: 'external',
    argument: 'RES',
    actions: both,
    help: 'leave a resource outside: file[MNT:INODE], unix[INODE], ...; may be repeated',
  },
  {
    name: 'ext-unix-sk',
    short: 'x',
    argument: 'INODES',
    optional: true,
    actions: both,
    help: 'unix sockets (all, or these) may lose a peer outside the tree',
  },
  {
    name: 'inherit-fd',
    argument: 'fd[N]:RES',
    actions: ['restore'],
    help: 'use descriptor N of crts for a resource left outside; may be repeated',
  },
  {
    name: 'ghost-limit',
    argument: 'SIZE',
    actions: both,
    help: 'unlinked files up to this size go into the images (default 1M; suffix K, M or G)',
  },
  {
    name: 'link-remap',
    twin: true,
    actions: both,
    help: 'files whose name was removed, and that have others, get temporary names beside it',
  },
  {
    name: 'evasive-devices',
    twin: true,
    actions: both,
    help: 'a device may be opened by any name that leads to it',
  },
  {
    name: 'inotify-events',
    argument: 'WHAT',
    actions: both,
    help: 'unread events of inotify and fanotify: fail the dump, drop them (default), or provoke others for them at restore',
  },
  {
    name: 'irmap-scan-path',
    argument: 'DIR',
    actions: dumps,
    idle: ['restore'],
    help: 'search here first for watched files whose file system opens no handles; may be repeated',
  },
  {
    name: 'force-irmap',
    twin: true,
    actions: dumps,
    idle: ['restore'],
    help: 'search for the names of watched files also where their handles open',
  },
  {
    name: 'allow-uprobes',
    twin: true,
    actions: dumps,
    idle: ['restore'],
    help: 'dump a program although it has met a uprobe; one that is set then must be set at the restore',
  },
  {
    name: 'track-mem',
    twin: true,
    actions: dumps,
    help: 'keep track of what the program writes from now on, so that the next images hold that alone',
  },
  {
    name: 'prev-images-dir',
    argument: 'DIR',
    actions: [...dumps, 'page-server'],
    help: 'images to build on, meant from the images directory: pages that were not written since stay there',
  },
  {
    name: 'auto-dedup',
    twin: true,
    actions: [...both, 'page-server'],
    idle: ['dedup'],
    help: 'dump: take pages out of the older images that the new ones supersede; restore: out of all that were read',
  },
  {
    name: 'pre-dump-mode',
    argument: 'MODE',
    actions: ['pre-dump'],
    idle: ['dump'],
    help: 'splice or read, as with criu: one here',
  },
  {
    name: 'page-server',
    twin: true,
    actions: [...dumps, 'lazy-pages'],
    idle: ['page-server'],
    help: 'pages go to a page server, or come from one, and are not in the images directory',
  },
  { name: 'address', argument: 'HOST', actions: talkers, help: 'where the page server is, or listens' },
  { name: 'port', argument: 'PORT', actions: talkers, help: 'its port' },
  {
    name: 'ps-socket',
    argument: 'FD',
    actions: talkers,
    help: 'use descriptor FD, a connected socket, instead of an address',
  },
  {
    name: 'status-fd',
    argument: 'FD',
    actions: talkers,
    help: 'write a zero byte to descriptor FD and close it when the server is ready',
  },
  { name: 'tls', twin: true, actions: talkers, help: 'encrypt page transfers; both sides show certificates' },
  {
    name: 'tls-cacert',
    argument: 'FILE',
    actions: talkers,
    help: 'trust certificates of this authority, and no others',
  },
  { name: 'tls-cacrl', argument: 'FILE', actions: talkers, help: 'certificates that were revoked' },
  { name: 'tls-cert', argument: 'FILE', actions: talkers, help: 'own certificate' },
  { name: 'tls-key', argument: 'FILE', actions: talkers, help: 'its private key' },
  { name: 'tls-no-cn-verify', actions: talkers, help: 'the certificate of the other side may be of any name' },
  {
    name: 'lazy-pages',
    actions: ['restore', 'dump', 'page-server'],
    help: 'memory comes when the program needs it: restore starts at once, dump and page-server give pages to lazy-pages',
  },
  {
    name: 'control-fd',
    argument: 'FD',
    actions: ['lazy-pages'],
    help: 'serve the restore at the other end of descriptor FD (crts restore --lazy-pages starts it so)',
  },
  {
    name: 'listen-fd',
    argument: 'FD',
    actions: servers,
    help: 'use descriptor FD, a listening socket, instead of an address',
  },
  {
    name: 'timeout',
    argument: 'SECONDS',
    actions: dumps,
    idle: ['restore'],
    help: 'how long the program may take to stop (default 10; 0: as long as it takes)',
  },
  {
    name: 'manage-cgroups',
    argument: 'MODE',
    optional: true,
    actions: ['dump', 'restore'],
    idle: ['pre-dump'],
    help: 'cgroups of the tasks: leave them alone (ignore), join those that exist (soft, default), or refuse where one is gone (none)',
  },
  {
    name: 'freeze-cgroup',
    argument: 'PATH',
    actions: dumps,
    idle: ['restore'],
    help: 'freeze this cgroup (version 1 or 2), which the whole program is in, while its processes are stopped',
  },
  {
    name: 'ghost-fiemap',
    twin: true,
    actions: dumps,
    idle: ['restore'],
    help: 'find the holes of unlinked files by fiemap, as with criu: here they are found either way',
  },
  {
    name: 'feature',
    argument: 'NAME',
    actions: ['check'],
    help: 'ask for one feature, by the name that criu has for it',
  },
  { name: 'extra', twin: true, actions: ['check'], help: 'ask for what some programs need' },
  { name: 'experimental', twin: true, actions: ['check'], help: 'ask for what is experimental with criu' },
  { name: 'all', actions: ['check'], help: 'both' },
  { name: 'display-stats', twin: true, actions: both, help: 'print statistics' },
  { name: 'no-default-config', actions: every, help: 'read no configuration of criu; crts never does' },
  { name: 'log-format', argument: 'FORMAT', actions: every, help: 'form of the log: human (default) or json' },
  {
    name: 'plugin',
    argument: 'NAME',
    actions: [...both, 'dedup'],
    help: 'load a plugin: a package name or a path; may be repeated',
  },
  {
    name: 'sync',
    actions: [...dumps, 'compress', 'decompress'],
    help: 'write the images through to the disk before the dump counts as done',
  },
  {
    name: 'compress',
    argument: 'HOW',
    actions: [...dumps, 'compress'],
    help: 'compress the pages images with zstd, zstd:LEVEL (1 to 19) or lz4 when the dump is complete; criu cannot read them then',
  },
  {
    name: 'share-pages',
    actions: ['dump'],
    idle: ['pre-dump', 'restore'],
    help: 'store pages that processes have in common once; criu cannot read such images',
  },
  { name: 'checksum', actions: dumps, help: 'write checksums of all images, for --verify' },
  {
    name: 'verify',
    actions: ['restore'],
    help: 'check the images against their checksums first; with --dry-run, nothing but that is done',
  },
  { name: 'dry-run', actions: ['restore'], help: 'compile the restore plan, print it, and make nothing' },
  { name: 'explain', actions: ['restore'], help: 'with --dry-run: say which plugin wants what' },
];

/** What CRIU 4.2 has besides. Each is refused by name, so that nobody believes it was heeded. */
const KNOWN_WITH_TWIN =
  'tcp-established log-pid skip-in-flight deprecated weak-sysctls tcp-close stream mntns-compat-mode unprivileged';
const KNOWN_SWITCHES = 'ms exec-cmd enable-external-sharing enable-external-masters';
const KNOWN_WITH_ARGUMENT =
  'join-ns root close veth-pair action-script libdir ext-mount-map cgroup-root skip-mnt enable-fs lsm-profile empty-ns cgroup-props cgroup-props-file cgroup-dump-controller config cgroup-yard lsm-mount-context network-lock';
const KNOWN_WITH_OPTIONAL = 'cpu-cap';
const KNOWN_SHORT: Readonly<Record<string, string>> = { 'join-ns': 'J', root: 'r', libdir: 'L', 'ext-mount-map': 'M' };

function known(names: string, more: Partial<OptionRow>): OptionRow[] {
  return names.split(' ').map((name) => {
    const short = KNOWN_SHORT[name];
    return { name, actions: [], ...more, ...(short === undefined ? {} : { short }) };
  });
}

export const OPTIONS: readonly OptionRow[] = [
  ...SUPPORTED,
  ...known(KNOWN_WITH_TWIN, { twin: true }),
  ...known(KNOWN_SWITCHES, {}),
  ...known(KNOWN_WITH_ARGUMENT, { argument: 'ARG' }),
  ...known(KNOWN_WITH_OPTIONAL, { argument: 'ARG', optional: true }),
];

export const ACTIONS: readonly Action[] = [
  'dump',
  'pre-dump',
  'restore',
  'check',
  'dedup',
  'compress',
  'decompress',
  'page-server',
  'lazy-pages',
];
/** Actions of CRIU that crts does not have yet. */
export const KNOWN_ACTIONS = ['service', 'swrk', 'cpuinfo', 'exec', 'show'];

function placesOf({ actions }: OptionRow): string {
  if (both.every((action) => actions.includes(action))) return '';
  return ` (${actions.filter((action) => action !== 'pre-dump' || !actions.includes('dump')).join(', ')})`;
}

export function helpText(): string {
  const lines = SUPPORTED.map((row) => {
    const argument = row.argument === undefined ? '' : row.optional ? `[=${row.argument}]` : ` ${row.argument}`;
    const head = `${row.short === undefined ? '    ' : `-${row.short}, `}--${row.name}${argument}`;
    return `  ${head.padEnd(30)} ${row.help}${placesOf(row)}`;
  });
  return [
    'Usage:',
    '  crts dump -t PID [-D DIR] [options]',
    '  crts pre-dump -t PID [-D DIR] [options]',
    '  crts restore [-D DIR] [options]',
    '  crts check [--feature NAME] [options]',
    '  crts dedup [-D DIR] [options]',
    '  crts compress [-D DIR] --compress zstd|lz4 [options]',
    '  crts decompress [-D DIR] [options]',
    '  crts page-server [-D DIR] [--address HOST] --port PORT [options]',
    '  crts lazy-pages [-D DIR] [options]',
    '',
    'Options:',
    ...lines,
    '  -h, --help                     this text',
    '  -V, --version                  the version',
    '',
    'Every other option and action of criu 4.2 is known by name and refused.',
    '',
  ].join('\n');
}
