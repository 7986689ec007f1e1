/** The options of crts: CRIU's names and meanings (criu --help), and our own at the end. */

export type Action = 'dump' | 'restore';

export interface OptionRow {
  readonly name: string;
  readonly short?: string;
  /** Name of the argument; absent for a switch. */
  readonly argument?: string;
  /** Actions that take it; empty: known from CRIU, and refused. */
  readonly actions: readonly Action[];
  readonly help?: string;
}

const both: readonly Action[] = ['dump', 'restore'];

const SUPPORTED: readonly OptionRow[] = [
  { name: 'tree', short: 't', argument: 'PID', actions: ['dump'], help: 'checkpoint the process tree with this root' },
  {
    name: 'images-dir',
    short: 'D',
    argument: 'DIR',
    actions: both,
    help: 'directory of the image files (default: the current one)',
  },
  {
    name: 'work-dir',
    short: 'W',
    argument: 'DIR',
    actions: both,
    help: 'directory of log, pidfile and statistics (default: the images directory)',
  },
  {
    name: 'log-file',
    short: 'o',
    argument: 'FILE',
    actions: both,
    help: 'write the log to FILE in the work directory',
  },
  {
    name: 'verbosity',
    argument: 'LEVEL',
    actions: both,
    help: '-v0 to -v4: nothing, errors, warnings (default), information, everything',
  },
  { name: 'leave-running', short: 'R', actions: ['dump'], help: 'let the program go on after the dump' },
  { name: 'leave-stopped', short: 's', actions: both, help: 'leave the program stopped' },
  {
    name: 'shell-job',
    short: 'j',
    actions: both,
    help: 'the program is a job of a shell: its session and terminal are not its own',
  },
  { name: 'file-locks', short: 'l', actions: both, help: 'carry file locks' },
  { name: 'restore-detached', short: 'd', actions: ['restore'], help: 'leave when the program is restored' },
  {
    name: 'restore-sibling',
    short: 'S',
    actions: ['restore'],
    help: 'make the program a child of the caller of crts; needs -d',
  },
  {
    name: 'pidfile',
    argument: 'FILE',
    actions: ['restore'],
    help: 'write the pid of the restored program to FILE in the work directory',
  },
  { name: 'display-stats', actions: both, help: 'print statistics' },
  { name: 'log-format', argument: 'human|json', actions: both, help: 'form of the log (default: human)' },
  { name: 'plugin', argument: 'NAME', actions: both, help: 'load a plugin: a package name or a path; may be repeated' },
  { name: 'sync', actions: ['dump'], help: 'write the images through to the disk before the dump counts as done' },
  { name: 'dry-run', actions: ['restore'], help: 'compile the restore plan, print it, and make nothing' },
  { name: 'explain', actions: ['restore'], help: 'with --dry-run: say which plugin wants what' },
];

/** What CRIU 4.2 has besides. Each is refused by name, so that nobody believes it was heeded. */
const KNOWN_SWITCHES =
  'daemon tcp-established log-pid evasive-devices link-remap page-server ms track-mem auto-dedup force-irmap exec-cmd enable-external-sharing enable-external-masters lazy-pages extra experimental all skip-in-flight deprecated weak-sysctls tcp-close stream no-default-config tls tls-no-cn-verify skip-file-rwx-check mntns-compat-mode unprivileged ghost-fiemap allow-uprobes';
const KNOWN_WITH_ARGUMENT =
  'join-ns root close veth-pair action-script address port prev-images-dir libdir cpu-cap ext-mount-map manage-cgroups cgroup-root inherit-fd feature skip-mnt enable-fs freeze-cgroup ghost-limit irmap-scan-path lsm-profile timeout external empty-ns cgroup-props cgroup-props-file cgroup-dump-controller status-fd ps-socket config tls-cacert tls-cacrl tls-cert tls-key cgroup-yard pre-dump-mode file-validation lsm-mount-context network-lock';
const KNOWN_SHORT: Readonly<Record<string, string>> = { 'join-ns': 'J', root: 'r', libdir: 'L', 'ext-mount-map': 'M' };

function known(name: string, argument?: string): OptionRow {
  const short = KNOWN_SHORT[name];
  return {
    name,
    actions: [],
    ...(argument === undefined ? {} : { argument }),
    ...(short === undefined ? {} : { short }),
  };
}

export const OPTIONS: readonly OptionRow[] = [
  ...SUPPORTED,
  ...KNOWN_SWITCHES.split(' ').map((name) => known(name)),
  ...KNOWN_WITH_ARGUMENT.split(' ').map((name) => known(name, 'ARG')),
];

export const ACTIONS: readonly Action[] = ['dump', 'restore'];
/** Actions of CRIU that crts does not have yet. */
export const KNOWN_ACTIONS = [
  'pre-dump',
  'check',
  'page-server',
  'service',
  'swrk',
  'dedup',
  'lazy-pages',
  'cpuinfo',
  'exec',
  'show',
];

export function helpText(): string {
  const lines = SUPPORTED.map((row) => {
    const head = `${row.short === undefined ? '    ' : `-${row.short}, `}--${row.name}${row.argument === undefined ? '' : ` ${row.argument}`}`;
    return `  ${head.padEnd(30)} ${row.help}${row.actions.length === 1 ? ` (${row.actions[0]})` : ''}`;
  });
  return [
    'Usage:',
    '  crts dump -t PID [-D DIR] [options]',
    '  crts restore [-D DIR] [options]',
    '',
    'Options:',
    ...lines,
    '  -h, --help                     this text',
    '  -V, --version                  the version',
    '',
  ].join('\n');
}
