/** An image set as read: validated as far as the engine itself uses it. */
import type {
  CoreEntry,
  FdinfoEntry,
  FileEntry,
  ImageReader,
  InventoryEntry,
  MmEntry,
  PstreeEntry,
  TaskKobjIdsEntry,
} from '@crts/image-io';
import type { ImageRecord, TaskImages } from '@crts/plugin-api';
import { badImage, deduplicated, otherFormat, preDumped } from './errors';
import { FileDescription } from './file-description';
import { type Objects, SHARED_KINDS, type SharedKind } from './forks/objects';
import { checkThreads, checkTree } from './tree-entries';
import { recordedExitSignal } from './wait-states';
import { type Owner, recordedOwner } from './zombie-ids';

const IMAGE_VERSION = 2;
/** TASK_DEAD of the format. */
const TASK_DEAD = 2;
/** Eight bits of exit code, and eight of a signal with the mark of a core dump: man 2 wait. */
const EXIT_CODE_MAX = 0xffff;
/** fs.nr_open can be raised to this: sysctl_nr_open_max, fs/file.c. */
const FD_MAX = 0x7fff_ffc0;

/** A thread besides the main one. */
export interface ThreadSet {
  readonly tid: number;
  readonly core: ImageRecord;
}

/** A process of the images. */
export interface TaskSet {
  readonly pid: number;
  /** 0 for the root. */
  readonly ppid: number;
  readonly pgid: number;
  readonly sid: number;
  /** What its parent gets for its end. */
  readonly exitSignal: number;
  readonly images: TaskImages;
  readonly threads: readonly ThreadSet[];
  /** Of the table of descriptors. */
  readonly fdinfo: readonly FdinfoEntry[];
  readonly objects: Objects;
  /** Of each kind the task that has the object that it shares: itself, or the first in the tree, whose images describe it. */
  readonly owners: Readonly<Record<SharedKind, number>>;
}

/** A process that is restored dead. */
export interface DeadSet {
  readonly pid: number;
  readonly ppid: number;
  readonly pgid: number;
  readonly sid: number;
  readonly comm: string;
  /** As wait(2) gives it. */
  readonly exitCode: number;
  readonly exitSignal: number;
  /** Whose it is, where the image tells. */
  readonly owner: Owner | undefined;
}

export interface ImageSet {
  readonly root: TaskSet;
  /** Parents before children. */
  readonly tasks: readonly TaskSet[];
  readonly dead: readonly DeadSet[];
  /** Pids of both as the images have them: children of a parent in the order of their making. */
  readonly sequence: readonly number[];
  /** File descriptions by id. */
  readonly files: ReadonlyMap<number, FileDescription>;
  /** `tty_info_entry` of the image set. */
  readonly ttys: readonly ImageRecord[];
}

export function readImageSet(reader: ImageReader): ImageSet {
  const inventory = reader.readOne<InventoryEntry>('inventory');
  if (inventory.img_version !== IMAGE_VERSION && inventory.img_version !== 1) throw otherFormat(inventory.img_version);
  if (inventory.pre_dump_mode !== undefined && !reader.has('pstree')) throw preDumped();
  if (reader.isDeduplicated) throw deduplicated();
  const tree = checkTree(reader.read('pstree') as PstreeEntry[]);
  const files = readFiles(reader);
  const shared: SharedImages = { locks: optional(reader, 'filelocks'), ttys: optional(reader, 'tty-info') };
  const owners = new Map<string, TaskSet>();
  const tasks: TaskSet[] = [];
  const dead: DeadSet[] = [];
  const cores = new Map(tree.map(({ pid }) => [pid, reader.readOne<CoreEntry>('core', pid)]));
  const isDead = (pid: number) => cores.get(pid)!.tc?.task_state === TASK_DEAD;
  checkThreads(tree, isDead);
  for (const entry of tree) {
    const core = cores.get(entry.pid)!;
    if (isDead(entry.pid)) dead.push(deadSet(entry, core));
    else tasks.push(readTask(reader, entry, core, files, shared, owners));
  }
  const root = tasks.find(({ ppid }) => ppid === 0);
  if (root === undefined) throw badImage('CRTS_IMAGE_REFERENCE', 'pstree.img', 'the root of the tree is dead');
  return { root, tasks, dead, sequence: tree.map(({ pid }) => pid), files, ttys: shared.ttys };
}

interface SharedImages {
  readonly locks: ImageRecord[];
  readonly ttys: ImageRecord[];
}

function readTask(
  reader: ImageReader,
  { pid, ppid, pgid, sid, threads }: PstreeEntry,
  core: CoreEntry,
  files: ReadonlyMap<number, FileDescription>,
  shared: SharedImages,
  owners: Map<string, TaskSet>,
): TaskSet {
  const ids = reader.readOne<TaskKobjIdsEntry>('ids', pid);
  const first = (kind: SharedKind) => owners.get(`${kind} ${ids[`${kind}_id`]}`);
  // As clone(2) asks for.
  if (first('sighand') !== undefined && first('sighand')!.objects.vm !== ids.vm_id)
    throw badImage('CRTS_IMAGE_REFERENCE', `ids-${pid}.img`, 'signal actions are shared, and memory is not');
  const images = {
    core: core as ImageRecord,
    mm: first('vm')?.images.mm ?? readMappings(reader, pid),
    fs: reader.readOne('fs', pid),
    ...shared,
  };
  const task: TaskSet = {
    pid,
    ppid,
    pgid,
    sid,
    exitSignal: recordedExitSignal(core, pid, false),
    images,
    threads: threads.slice(1).map((tid) => ({ tid, core: reader.readOne('core', tid) })),
    fdinfo: first('files')?.fdinfo ?? readFdinfo(reader, ids.files_id, files),
    objects: { vm: ids.vm_id, files: ids.files_id, fs: ids.fs_id, sighand: ids.sighand_id },
    owners: {
      vm: first('vm')?.pid ?? pid,
      files: first('files')?.pid ?? pid,
      fs: first('fs')?.pid ?? pid,
      sighand: first('sighand')?.pid ?? pid,
    },
  };
  for (const kind of SHARED_KINDS) if (task.owners[kind] === pid) owners.set(`${kind} ${ids[`${kind}_id`]}`, task);
  return task;
}

function deadSet({ pid, ppid, pgid, sid }: PstreeEntry, core: CoreEntry): DeadSet {
  const { comm, exit_code: exitCode } = core.tc!;
  const signal = exitCode & 0x7f;
  const isImpossible = signal === 0 ? (exitCode & 0x80) !== 0 : exitCode > 0xff || !ends(signal);
  if (exitCode > EXIT_CODE_MAX || isImpossible)
    throw badImage('CRTS_IMAGE_FIELD', `core-${pid}.img`, `0x${exitCode.toString(16)} is no exit status`);
  const exitSignal = recordedExitSignal(core, pid, true);
  return { pid, ppid, pgid, sid, comm, exitCode, exitSignal, owner: recordedOwner(core, pid) };
}

/** SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH: what they do by default is not to end a process. */
const ENDING_NOTHING = new Set([17, 18, 19, 20, 21, 22, 23, 28]);
const SIGNAL_MAX = 64;

function ends(signal: number): boolean {
  return signal <= SIGNAL_MAX && !ENDING_NOTHING.has(signal);
}

/** An image without entries is not written. */
function optional(reader: ImageReader, kind: string): ImageRecord[] {
  return reader.has(kind) ? reader.read(kind) : [];
}

function readFiles(reader: ImageReader): Map<number, FileDescription> {
  const files = new Map<number, FileDescription>();
  for (const { value: entry } of reader.items('files')) {
    const { type, id } = entry as unknown as FileEntry;
    const field = unionField(entry);
    if (field === undefined) throw badImage('CRTS_IMAGE_FIELD', 'files.img', `entry of file ${id} is empty`);
    if (files.has(id)) throw badImage('CRTS_IMAGE_REFERENCE', 'files.img', `two entries have the id ${id}`);
    files.set(id, new FileDescription(id, type, field, entry[field] as ImageRecord));
  }
  return files;
}

/** The one in use of all kinds. */
function unionField(entry: ImageRecord): string | undefined {
  for (const name in entry) if (name !== 'type' && name !== 'id' && entry[name] !== undefined) return name;
  return undefined;
}

function readFdinfo(reader: ImageReader, id: number, files: ReadonlyMap<number, FileDescription>): FdinfoEntry[] {
  const path = `fdinfo-${id}.img`;
  const entries: FdinfoEntry[] = [];
  for (const { value } of reader.items('fdinfo', id)) entries.push(value as FdinfoEntry);
  entries.sort((a, b) => a.fd - b.fd);
  let last = -1;
  for (const entry of entries) {
    if (entry.fd > FD_MAX) throw badImage('CRTS_IMAGE_FIELD', path, `fd ${entry.fd} is out of range`);
    if (entry.fd === last) throw badImage('CRTS_IMAGE_REFERENCE', path, `fd ${entry.fd} is there twice`);
    if (!files.has(entry.id))
      throw badImage(
        'CRTS_IMAGE_REFERENCE',
        path,
        `fd ${entry.fd} refers to file ${entry.id}, which files.img does not have`,
      );
    last = entry.fd;
  }
  return entries;
}

/** Mappings are made of pages of 4 kB. */
const PAGE_MASK = 0xfffn;
/** VMA_AREA_GUARD of the format: a region inside a mapping. */
const GUARD_STATUS = 0x10000;

function readMappings(reader: ImageReader, pid: number): ImageRecord {
  const mm = reader.readOne<MmEntry>('mm', pid);
  checkMappings(mm, pid);
  return mm as ImageRecord;
}

function checkMappings(mm: MmEntry, pid: number): void {
  const ranges = mm.vmas
    .filter((vma) => (vma.status & GUARD_STATUS) === 0)
    .sort((a, b) => (a.start < b.start ? -1 : 1));
  ranges.forEach((vma, index) => {
    if (vma.start >= vma.end || (vma.start | vma.end) & PAGE_MASK)
      throw badImage('CRTS_IMAGE_FIELD', `mm-${pid}.img`, `0x${vma.start.toString(16)} begins no mapping`);
    const before = ranges[index - 1];
    if (before !== undefined && before.end > vma.start)
      throw badImage('CRTS_IMAGE_REFERENCE', `mm-${pid}.img`, `mappings overlap at 0x${vma.start.toString(16)}`);
  });
}
