/** What anyone can see of a process, for comparison before the dump and after the restore. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { mappings, whole, withoutAbandoned } from './mappings';

/**
 * The restored process may differ in this, and in nothing else that /proc shows (man 5 proc):
 * - PPid: the parent is the restorer, or who adopts its children;
 * - State and pending signals: of this very moment; a program whose signals wait on purpose checks them itself;
 * - resident sizes and their peaks: pages of files come in when they are touched;
 * - page tables, context switches, memory accounting: counters of another life;
 * - FDSize: what the kernel allocated for the table, which fork() takes from the highest number of the *parent* (here of
 *   the test runner) and which never shrinks: sane_fdtable_size(), fs/file.c.
 */
const STATUS_MAY_DIFFER =
  /^(PPid|State|FDSize|Sig(Q|Pnd)|ShdPnd|Vm(Peak|HWM|RSS|PTE|Swap)|HugetlbPages|Rss\w+|(non)?voluntary_ctxt_switches)$/;
/**
 * Fields of stat that must be equal: process group, session, terminal, its foreground group, priority, nice, threads, code
 * and stack bounds, exit signal, real-time priority, policy, data, brk, argument and environment bounds. The others are times,
 * counters, and registers of this moment.
 */
const STAT_FIELDS = [5, 6, 7, 8, 18, 19, 20, 26, 27, 28, 38, 40, 41, 45, 46, 47, 48, 49, 50, 51];
const FILES = [
  'limits',
  'cmdline',
  'environ',
  'auxv',
  'comm',
  'personality',
  'timerslack_ns',
  'oom_score_adj',
  'coredump_filter',
  'loginuid',
  'cgroup',
  'timers',
  'timens_offsets',
  'uid_map',
  'gid_map',
  'mountinfo',
];

export interface SnapshotOptions {
  /** The program reads and writes, or its timers run, all the time: offsets and times left are not compared. */
  readonly isMoving?: boolean;
  /** Signals are handled all the time: the mask of this moment is not compared. */
  readonly handlesSignals?: boolean;
  /** POSIX timers name the thread whose CPU time they count, where the program said "mine". */
  readonly timersMayDiffer?: boolean;
}

export function snapshot(pid: number, options: SnapshotOptions = {}): Record<string, unknown> {
  const read = (file: string) => readFileSync(`/proc/${pid}/${file}`, 'latin1');
  const link = (file: string) => readlinkSync(`/proc/${pid}/${file}`);
  const threads = readdirSync(`/proc/${pid}/task`);
  // An engine that died while several threads were in the agent leaves its memory behind; the next dump takes it away.
  const { smaps, arenaKb, codeKb } = threads.length > 1 ? withoutAbandoned(read('smaps')) : whole(read('smaps'));
  return {
    status: smaller(status(read('status'), options), { VmSize: arenaKb + codeKb, VmLib: codeKb }),
    stat: stat(read('stat')),
    mappings: mappings(smaps),
    descriptors: descriptors(pid, link, read, options),
    ...Object.fromEntries(
      FILES.filter((file) => file !== 'timers' || options.timersMayDiffer !== true).map((file) => [
        file,
        readOptional(read, file),
      ]),
    ),
    links: ['exe', 'cwd', 'root'].map(link),
    namespaces: readdirSync(`/proc/${pid}/ns`).map((name) => linkOptional(link, `ns/${name}`)),
    threads,
    children: read(`task/${pid}/children`),
  };
}

/** Sizes of /proc/PID/status without what is not the program's. */
function smaller(fields: Record<string, string>, kilobytes: Record<string, number>): Record<string, string> {
  const changed = Object.entries(kilobytes).map(([name, less]) => [
    name,
    `${Number.parseInt(fields[name]!, 10) - less} kB`,
  ]);
  return { ...fields, ...Object.fromEntries(changed) };
}

/** A pid namespace that no process has been made in yet has no name. */
function linkOptional(link: (file: string) => string, file: string): string {
  try {
    return link(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/** A file that this kernel does not have is equal to itself. */
function readOptional(read: (file: string) => string, file: string): string {
  try {
    return read(file);
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

function status(text: string, { handlesSignals }: SnapshotOptions): Record<string, string> {
  return Object.fromEntries(
    text
      .split('\n')
      .map((line) => line.split(':\t') as [string, string])
      .filter(([name]) => name !== '' && !STATUS_MAY_DIFFER.test(name) && !(handlesSignals && name === 'SigBlk')),
  );
}

function stat(text: string): string[] {
  // The name is whatever the program wants, with spaces and parentheses: fields count from the last parenthesis.
  const fields = text.replace(/^\d+ \(.*\) /s, '- - ').split(' ');
  return STAT_FIELDS.map((field) => fields[field - 1]!.trim());
}

type Read = (file: string) => string;

function descriptors(pid: number, link: Read, read: Read, options: SnapshotOptions): Record<string, string> {
  const numbers = readdirSync(`/proc/${pid}/fd`);
  const anonymous = new Map<string, string>();
  for (const fd of numbers) {
    const ino = MADE_ANEW.test(link(`fd/${fd}`)) ? /^ino:\s*(\d+)/m.exec(read(`fdinfo/${fd}`))?.[1] : undefined;
    if (ino !== undefined && !anonymous.has(ino)) anonymous.set(ino, `#${anonymous.size}`);
  }
  // The same number stands for the same object wherever it is met, and says nothing else.
  const name = (text: string) =>
    text.replace(/(?<=:\[|\bino:\s*)[0-9a-f]+\b/g, (ino) => anonymous.get(ino) ?? anonymous.get(decimal(ino)) ?? ino);
  return Object.fromEntries(
    numbers.map((fd) => [
      fd,
      name(`${nameless(link(`fd/${fd}`))} ${descriptor(link(`fd/${fd}`), read(`fdinfo/${fd}`), options)}`),
    ]),
  );
}

/** Objects without a name, whose inode number is the kernel's to choose. */
const MADE_ANEW = /^(pipe:|socket:|anon_inode:\[pidfd\]|\/memfd:)/;

/** fdinfo of epoll writes inode numbers in hex: ep_show_fdinfo(), fs/eventpoll.c. */
function decimal(hex: string): string {
  return String(Number.parseInt(hex, 16));
}

/** A file of O_TMPFILE is called by its inode number, which a new one does not share. */
function nameless(link: string): string {
  return link.replace(/#\d+ \(deleted\)$/, '# (deleted)');
}

function descriptor(link: string, fdinfo: string, { isMoving }: SnapshotOptions): string {
  // A deleted file is made again, and /proc makes its files up, with other inode numbers.
  const left =
    link.endsWith(' (deleted)') || link.startsWith('/proc/') ? /^(scm_fds|eventfd-id|ino):/ : /^(scm_fds|eventfd-id):/;
  const lines = fdinfo.split('\n').filter((line) => line !== '' && !left.test(line));
  // What an epoll watches is listed in the order of kernel addresses.
  const [targets, others] = [/^tfd:/, /^(?!tfd:)/].map((kind) => lines.filter((line) => kind.test(line)));
  return [...others!, ...targets!.sort()]
    .filter((line) => !(isMoving && /^(pos|ticks|it_value):/.test(line)))
    .join(' ');
}
