/** Parsers of what /proc prints of a task (man 5 proc). Pure, but for readTaskFacts(). */
import { readdirSync } from 'node:fs';
import { readMappings, readSmallFile, readSmallFiles, SyscallError } from '@crts/native-syscalls';
import { decodeName, type FieldTable, type TaskFacts, type ThreadFacts, type VmaFacts } from '@crts/plugin-api';
import { noSuchTask } from './errors';

/** Fields of /proc/PID/stat from the third on; the second, comm, may hold anything. */
const STAT_FIELDS = [
  'state',
  'ppid',
  'pgrp',
  'session',
  'tty_nr',
  'tpgid',
  'flags',
  'minflt',
  'cminflt',
  'majflt',
  'cmajflt',
  'utime',
  'stime',
  'cutime',
  'cstime',
  'priority',
  'nice',
  'num_threads',
  'itrealvalue',
  'starttime',
  'vsize',
  'rss',
  'rsslim',
  'startcode',
  'endcode',
  'startstack',
  'kstkesp',
  'kstkeip',
  'signal',
  'blocked',
  'sigignore',
  'sigcatch',
  'wchan',
  'nswap',
  'cnswap',
  'exit_signal',
  'processor',
  'rt_priority',
  'policy',
  'delayacct_blkio_ticks',
  'guest_time',
  'cguest_time',
  'start_data',
  'end_data',
  'start_brk',
  'arg_start',
  'arg_end',
  'env_start',
  'env_end',
  'exit_code',
];

/** One field of /proc/PID/stat, without making a table of all. */
export function statField(text: string, name: string): string {
  const values = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (values[STAT_FIELDS.indexOf(name)] ?? '').trim();
}

export function parseStat(text: string): { comm: string; fields: Record<string, string> } {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  const values = text.slice(close + 2, text.endsWith('\n') ? -1 : undefined).split(' ');
  const fields: Record<string, string> = {};
  for (let index = 0; index < STAT_FIELDS.length; index++) fields[STAT_FIELDS[index]!] = values[index] ?? '';
  return { comm: text.slice(open + 1, close), fields };
}

/** State of a thread, as one letter (man 5 proc); `gone` when it has ended. */
export function stateOf(tid: number): string {
  try {
    return statField(readSmallFile(`/proc/${tid}/stat`).toString('latin1'), 'state');
  } catch {
    return 'gone';
  }
}

/** Each field is looked for when it is asked for: there are sixty, of which a thread needs twenty. */
/** Whether the thread is stopped by a signal (job control): also one that is frozen in its stop, whose state is another. */
export function isJobStopped(tid: number): boolean {
  try {
    return readSmallFile(`/proc/${tid}/wchan`).toString('latin1') === 'do_signal_stop';
  } catch {
    return false;
  }
}

export function parseStatus(text: string): FieldTable {
  const lines = `\n${text}`;
  return {
    get: (name) => {
      const head = `\n${name}:`;
      const at = lines.indexOf(head);
      return at < 0 ? undefined : lines.slice(at + head.length, lineEnd(lines, at + 1)).trim();
    },
  };
}

const NO_FLAGS: ReadonlySet<string> = new Set();

const VMA_LINE = /^([0-9a-f]+)-([0-9a-f]+) (.)(.)(.)(.) ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+) *(.*)$/;

const KEY_LINE = '\nProtectionKey:';
const FLAGS_LINE = '\nVmFlags:';

/**
 * /proc/PID/smaps: a line of /proc/PID/maps per mapping, then lines of details, VmFlags last. A thread has two mappings with 24 lines
 * each, so that lines are looked for rather than looked at; most mappings have the flags of another.
 */
export function parseSmaps(text: string): VmaFacts[] {
  const vmas: VmaFacts[] = [];
  const known = new Map<string, ReadonlySet<string>>();
  for (let at = 0; at < text.length; ) {
    const flagsAt = text.indexOf(FLAGS_LINE, at);
    if (flagsAt < 0) break;
    const end = lineEnd(text, flagsAt + 1);
    const headEnd = text.indexOf('\n', at);
    const match = VMA_LINE.exec(text.slice(at, headEnd));
    const details = text.slice(headEnd, flagsAt);
    const keyAt = details.indexOf(KEY_LINE);
    const key = keyAt < 0 ? undefined : Number(details.slice(keyAt + KEY_LINE.length, lineEnd(details, keyAt + 1)));
    const names = text.slice(flagsAt + FLAGS_LINE.length, end).trim();
    let flags = known.get(names);
    if (flags === undefined) {
      flags = new Set(names.split(' '));
      known.set(names, flags);
    }
    if (match !== null) add(vmas, vmaOf(match, flags, key));
    at = end + 1;
  }
  return vmas;
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}

/** /proc/PID/maps: the same without flags and keys. The kernel walks the page tables for smaps, 27 ms a GiB, and not for this. */
export function parseMaps(text: string): VmaFacts[] {
  const vmas: VmaFacts[] = [];
  for (const line of text.split('\n')) {
    const match = VMA_LINE.exec(line);
    if (match !== null) add(vmas, vmaOf(match, NO_FLAGS, undefined));
  }
  return vmas;
}

/** The vsyscall page has a line like any mapping, and VmFlags too. */
function vmaOf(match: RegExpExecArray, vmFlags: ReadonlySet<string>, protectionKey: number | undefined): VmaFacts {
  const [, start, end, r, w, x, s, offset, major, minor, inode, rawName] = match as unknown as string[];
  const name = unescapeOctal(rawName!);
  const deleted = inode !== '0' && name.endsWith(' (deleted)');
  return {
    start: BigInt(`0x${start}`),
    end: BigInt(`0x${end}`),
    read: r === 'r',
    write: w === 'w',
    exec: x === 'x',
    shared: s === 's',
    offset: BigInt(`0x${offset}`),
    major: Number.parseInt(major!, 16),
    minor: Number.parseInt(minor!, 16),
    inode: BigInt(inode!),
    name: deleted ? name.slice(0, -' (deleted)'.length) : name,
    deleted,
    vmFlags,
    ...(protectionKey === undefined ? {} : { protectionKey }),
  };
}

/**
 * The data pages of the vdso are two mappings since Linux 6.13, [vvar] and [vvar_vclock]; the image format knows one.
 * They lie side by side and are mapped together: map_vdso(), arch/x86/entry/vdso/vma.c.
 */
function add(vmas: VmaFacts[], vma: VmaFacts): void {
  const last = vmas.at(-1);
  if (vma.name === '[vvar_vclock]' && last?.name === '[vvar]' && last.end === vma.start)
    vmas[vmas.length - 1] = { ...last, end: vma.end };
  else vmas.push(vma);
}

/** seq_path() escapes newlines only in maps: "\012". */
function unescapeOctal(text: string): string {
  return text.includes('\\') ? text.replace(/\\012/g, '\n') : text;
}

export function readTaskFacts(pid: number): TaskFacts {
  return factsWith(pid, mappingsOf(decodeName(readMappings(`/proc/${pid}/smaps`))));
}

/** Texts of mappings that have been met, and what they say: tasks of a tree are forks of each other, and much is known by the list of mappings. */
const knownMappings = new Map<string, readonly VmaFacts[]>();
const KNOWN_MAX = 64;

function mappingsOf(text: string, parse = parseSmaps): readonly VmaFacts[] {
  const known = knownMappings.get(text);
  if (known !== undefined) return known;
  if (knownMappings.size === KNOWN_MAX) knownMappings.clear();
  const vmas = parse(text);
  knownMappings.set(text, vmas);
  return vmas;
}

/** Mappings of a process that still runs, without flags. Equal texts have one list. */
export function glimpseMappings(pid: number): readonly VmaFacts[] {
  return mappingsOf(decodeName(readSmallFile(`/proc/${pid}/maps`)), parseMaps);
}

/** Of a process that still runs: enough to make ready for the freeze, where all is read again. Mappings have no flags. */
export function glimpseTask(pid: number): TaskFacts {
  return factsWith(pid, parseMaps(decodeName(readSmallFile(`/proc/${pid}/maps`))));
}

function factsWith(pid: number, vmas: readonly VmaFacts[]): TaskFacts {
  const { comm, fields } = parseStat(decodeName(readSmallFile(`/proc/${pid}/stat`)));
  return { comm, stat: fields, status: parseStatus(readSmallFile(`/proc/${pid}/status`).toString()), vmas };
}

/** Of threads that are stopped, in their order. */
export function readFactsOfThreads(pid: number, tids: readonly number[]): ThreadFacts[] {
  const texts: string[] = [];
  const paths = tids.flatMap((tid) => [`/proc/${pid}/task/${tid}/stat`, `/proc/${pid}/task/${tid}/status`]);
  readSmallFiles(paths, (index, content) => {
    if (typeof content === 'number') throw new SyscallError('read', -content, undefined, paths[index]);
    texts.push(index % 2 === 0 ? decodeName(content) : content.toString('latin1'));
  });
  return tids.map((_, index) => {
    const { comm, fields } = parseStat(texts[2 * index]!);
    return { comm, stat: fields, status: parseStatus(texts[2 * index + 1]!) };
  });
}

/** Numbers of a running process's threads; none when it has ended. */
export function threadsOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    return [];
  }
}

/** Field num_threads of /proc/PID/stat. */
export function threadCount(pid: number): number {
  return Number(statField(readSmallFile(`/proc/${pid}/stat`).toString('latin1'), 'num_threads'));
}

/** CPU that a process ran on last: field processor of /proc/PID/stat. */
export function cpuOf(pid: number): number {
  return Number(statField(readSmallFile(`/proc/${pid}/stat`).toString('latin1'), 'processor'));
}

export function statusOf(pid: number): FieldTable {
  return parseStatus(readSmallFile(`/proc/${pid}/status`).toString('latin1'));
}

/** State of a thread and who traces it; empty when it is gone. */
export function tracerOf(pid: number, tid: number): { state: string; tracer: string } {
  try {
    const status = parseStatus(readSmallFile(`/proc/${pid}/task/${tid}/status`).toString());
    return { state: status.get('State')?.[0] ?? '', tracer: status.get('TracerPid') ?? '0' };
  } catch {
    return { state: '', tracer: '0' };
  }
}

/** Whether a signal is queued that the thread does not block. */
export function signalWaits({ status }: ThreadFacts): boolean {
  const mask = (field: string) => BigInt(`0x${status.get(field) ?? '0'}`);
  const pending = mask('SigPnd') | mask('ShdPnd');
  return pending !== 0n && (pending & ~mask('SigBlk')) !== 0n;
}

/** Whether the main thread has ended and others have not: what belongs to the process is out of reach through /proc/PID then. */
export function isOutlived(pid: number): boolean {
  try {
    return tracerOf(pid, pid).state === 'Z' && readdirSync(`/proc/${pid}/task`).length > 1;
  } catch {
    return false;
  }
}

/** Whether an error says that the process has ended. */
export function isGone(error: unknown): boolean {
  const { code, errno } = error as { code?: string; errno?: unknown };
  return [code, errno].some((name) => name === 'ENOENT' || name === 'ESRCH');
}

/** The same, where the process must be there. @throws CrtsError CRTS_NO_TASK */
export function factsOf<T>(pid: number, read: (pid: number) => T): T {
  try {
    return read(pid);
  } catch (error) {
    if (isGone(error)) throw noSuchTask(pid);
    throw error;
  }
}
