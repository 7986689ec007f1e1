import { statSync } from 'node:fs';
import type { FileEntry, FownEntry } from '@crts/image-io';
import { closeFd, DescribedFd, SortedFiles, visitDescriptors, visitPath } from '@crts/native-syscalls';
import type {
  FdDumpContext,
  FdFacts,
  FdHandler,
  FileRecord,
  FileRegistry,
  FrozenTask,
  ImageItem,
  ImageRecord,
  SharedMemory,
  TreeDescriptor,
  TreeImages,
} from '@crts/plugin-api';
import { directoryNotify, noFdHandler, pluginMistake } from './errors';
import { linkUnread, unreachable } from './file-errors';
import type { Frozen } from './frozen-task';
import { bestHandler } from './registry';
import type { DumpRemaps } from './remaps';

const O_CLOEXEC = 0o2000000;
const FD_CLOEXEC = 1;
/** memfd_inode_entry.shmid has 32 bits. */
const SHMID_MAX = 0xffff_ffffn;
/** Watches of an inotify, targets of an epoll: so many lines, and all code is warm. */
const REHEARSED_FDINFO = 32 * 1024;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;

/** A description in the images. */
interface Known {
  readonly id: number;
  readonly type: number;
}

/** The same for every description of a dump. */
type CommonContext = Pick<
  FdDumpContext,
  | 'first'
  | 'addItem'
  | 'afterAll'
  | 'addSharedMemory'
  | 'addRecord'
  | 'orderRecords'
  | 'processes'
  | 'descriptors'
  | 'inFlight'
>;

/** File descriptions of the dump: each is written once, whoever refers to it. */
export class FileTable implements FileRegistry, TreeImages {
  readonly entries: FileEntry[] = [];
  /** Entries of further images of the whole tree, by kind. */
  readonly items = new Map<string, ImageItem[]>();
  /** Objects whose contents are to be stored, by the number of their contents. */
  readonly sharedMemory = new Map<number, SharedMemory>();
  readonly #handlers: readonly FdHandler[];
  readonly #remaps: DumpRemaps | undefined;
  readonly #fdinfoMax: number;
  readonly #common: CommonContext;
  readonly #paths = new Map<string, number>();
  readonly #firsts = new Set<string>();
  readonly #descriptors: TreeDescriptor[] = [];
  readonly #flyingDescriptors: TreeDescriptor[] = [];
  readonly #afterAll: (() => void)[] = [];
  readonly #inFlight: { readonly task: FrozenTask; readonly local: number; id: number }[] = [];
  readonly #kept: number[] = [];
  /** Descriptions that look alike, in the order of kcmp(2). */
  readonly #alike = new Map<number, SortedFiles>();
  #nextId = 1;

  /** `processes`: host pids of the tree. A rehearsal has no `remaps`: nothing is written. */
  constructor(handlers: readonly FdHandler[], processes: readonly number[], remaps?: DumpRemaps) {
    this.#handlers = handlers;
    this.#remaps = remaps;
    this.#fdinfoMax = remaps === undefined ? REHEARSED_FDINFO : Number.POSITIVE_INFINITY;
    this.#common = {
      first: (key) => this.first(key),
      addItem: (kind, item) => this.addItem(kind, item),
      afterAll: (action) => this.#afterAll.push(action),
      addSharedMemory: (memory) => this.addSharedMemory(memory),
      addRecord: (make) => this.#push(this.#nextId++, make),
      orderRecords: (ids) => this.#order(ids),
      processes: new Set(processes),
      descriptors: this.#descriptors,
      inFlight: this.#flyingDescriptors,
    };
  }

  addPath(task: FrozenTask, file: Parameters<FileRegistry['addPath']>[1]): number {
    // Deleted files and memfds may share a name.
    const identity = file.deleted ? objectOf(file.via) : '';
    const key = `${file.flags} ${file.path} ${identity}`;
    const known = this.#paths.get(key);
    if (known !== undefined) return known;
    const { via, path, flags } = file;
    const id = visitPath(via, (described) => {
      const { local, mode, uid, gid, dev, ino, rdev, sizeBytes, nlink, changeNs, fsType, mntId } = described;
      // As with descriptors: a file that has a name may be called "x (deleted)".
      const deleted = file.deleted && nlink === 0n;
      const link = file.deleted && !deleted ? `${path}${DELETED}` : path;
      const stat = { mode, uid, gid, dev, ino, rdev, sizeBytes, nlink, changeNs, fsType, mntId };
      const own = { ...stat, pid: task.pid, fd: -1, local, via, link, deleted, flags, fdinfo: '', pos: 0n };
      return this.#add(task, own, NO_OWNER);
    });
    this.#paths.set(key, id);
    return id;
  }

  /** Dumps every descriptor of a task. All tasks of the tree must stand still. */
  addDescriptors(task: Frozen, pidfd: number, numbers: readonly number[]): void {
    const { hostPid } = task;
    const descriptors: TreeDescriptor[] = [];
    // Seen as they come.
    task.descriptors = descriptors;
    const dump = (described: DescribedFd) => {
      const { fd } = described;
      const facts = new Facts(described, task.pid, hostPid, fd, this.#fdinfoMax);
      const { id, type } = this.#description(task, hostPid, fd, facts);
      const descriptor = { task, fd, id, facts };
      descriptors.push(descriptor);
      this.#descriptors.push(descriptor);
      return { id, flags: (described.openFlags & O_CLOEXEC) === 0 ? 0 : FD_CLOEXEC, type, fd };
    };
    try {
      task.fdinfo = visitDescriptors(hostPid, pidfd, numbers, dump);
    } catch (error) {
      throw linkUnread(task.pid, error);
    }
  }

  /** All tasks gave their descriptors: lets handlers look at what they have seen together. */
  finish(): void {
    try {
      // Descriptors of all tasks are known, so what one of them has keeps its id. The loop reaches what is in flight in these.
      for (const one of this.#inFlight) one.id = this.#flying(one.task, one.local);
      for (const action of this.#afterAll) action();
    } finally {
      const needed = new Set([...this.sharedMemory.values()].map(({ via }) => via));
      for (const { local } of this.#inFlight.splice(0))
        if (needed.has(pathOf(process.pid, local))) this.#kept.push(local);
        else closeFd(local);
    }
  }

  /** Contents of memory that only a socket has were read through the engine's own duplicate. */
  [Symbol.dispose](): void {
    for (const local of this.#kept.splice(0)) closeFd(local);
  }

  #flying(task: FrozenTask, local: number): number {
    const [id] = visitDescriptors(process.pid, undefined, [local], (described) => {
      const facts = new Facts(described, task.pid, process.pid, -1);
      const { id: flying } = this.#description(task, process.pid, local, facts);
      this.#flyingDescriptors.push({ task, fd: local, id: flying, facts });
      return flying;
    });
    return id!;
  }

  /**
   * kcmp(2) orders descriptions: asking only among those that look alike, and by halves, keeps the number of calls low
   * also where a thousand tasks have opened /dev/null each for itself.
   */
  #description(task: FrozenTask, holder: number, fd: number, facts: Facts): Known {
    const { likeness } = facts;
    let alike = this.#alike.get(likeness);
    if (alike === undefined) {
      alike = new SortedFiles();
      this.#alike.set(likeness, alike);
    }
    const index = alike.find(holder, fd);
    if (index >= 0) return { id: alike.first(index), type: alike.second(index) };
    const { owner } = facts;
    if (owner.pid !== 0 && (facts.mode & S_IFMT) === S_IFDIR) throw directoryNotify(task.pid, facts.fd, facts.link);
    const id = this.#add(task, facts, fownEntry(owner));
    // The entry of the description itself is pushed after those that it refers to.
    const { type } = this.entries.at(-1)!;
    alike.add(-1 - index, holder, fd, id, type);
    return { id, type };
  }

  first(key: string): boolean {
    return this.#firsts.size !== this.#firsts.add(key).size;
  }

  addItem(kind: string, item: ImageItem): void {
    const items = this.items.get(kind);
    if (items === undefined) this.items.set(kind, [item]);
    else items.push(item);
  }

  /** The number is the inode's as with CRIU, where it is free and a field of the format holds it. */
  addSharedMemory(memory: SharedMemory): number {
    let shmid = memory.ino > 0n && memory.ino <= SHMID_MAX ? Number(memory.ino) : 1;
    for (; ; shmid = (shmid % Number(SHMID_MAX)) + 1) {
      const known = this.sharedMemory.get(shmid);
      if (known?.dev === memory.dev && known.ino === memory.ino) return shmid;
      if (known === undefined) break;
    }
    this.sharedMemory.set(shmid, memory);
    return shmid;
  }

  #add(task: FrozenTask, facts: FdFacts, fown: FownEntry): number {
    const handler = bestHandler(
      this.#handlers,
      (candidate) => candidate.match(facts, task.options),
      () => `fd ${facts.fd} (${facts.link})`,
    );
    if (handler === undefined) throw noFdHandler(facts);
    const id = this.#nextId++;
    const { first, addItem, afterAll, addSharedMemory, addRecord, orderRecords } = this.#common;
    const { processes, descriptors, inFlight } = this.#common;
    const context: FdDumpContext = {
      task,
      options: task.options,
      log: task.log,
      id,
      fown: fown as ImageRecord,
      addRecord,
      orderRecords,
      nameOf: (file, ownId) => this.#remaps?.nameOf(file, { ...context, id: ownId ?? id }) ?? file.link,
      first,
      addItem,
      addInFlight: (local) => {
        const one = { task, local, id: 0 };
        this.#inFlight.push(one);
        return () => one.id;
      },
      processes,
      descriptors,
      inFlight,
      afterAll,
      addSharedMemory,
    };
    const record = handler.dump(facts, context);
    if (typeof record?.type !== 'number' || typeof record.field !== 'string')
      throw pluginMistake(handler.name, 'dump() returned no entry: { type, field, value }', task.pid, facts.fd);
    return this.#push(id, () => record);
  }

  #order(ids: readonly number[]): void {
    const wanted = new Set(ids);
    const places = this.entries.flatMap(({ id }, place) => (wanted.has(id) ? [place] : []));
    const byId = new Map(places.map((place) => [this.entries[place]!.id, this.entries[place]!]));
    ids.forEach((id, index) => {
      this.entries[places[index]!] = byId.get(id)!;
    });
  }

  #push(id: number, make: (id: number) => FileRecord): number {
    const record = make(id);
    this.entries.push({ type: record.type, id, [record.field]: record.value } as FileEntry);
    return id;
  }
}

const NO_OWNER: FownEntry = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };

function pathOf(hostPid: number, fd: number): string {
  return `/proc/${hostPid}/fd/${fd}`;
}

function objectOf(path: string): string {
  const { dev, ino } = statSync(path, { bigint: true });
  return `${dev}:${ino}`;
}

const DELETED = ' (deleted)';

/** What handlers see of a descriptor. */
const PROC_MAGIC = 0x9fa0n;
const MODE_OF_DEAD = 0o40500;

function isOfDead(link: string, fsType: bigint): boolean {
  return fsType === PROC_MAGIC && /^\/proc\/\d+(?:\/task\/\d+)?\/fd$/.test(link);
}

class Facts extends DescribedFd implements FdFacts {
  readonly pid: number;
  readonly link: string;
  readonly deleted: boolean;
  readonly #hostPid: number;
  readonly #number: number;
  readonly #fdinfoMax: number;

  /** `fd` is -1 for what is in flight, which the engine has under a number of its own. */
  constructor(described: DescribedFd, pid: number, hostPid: number, fd: number, fdinfoMax = Number.POSITIVE_INFINITY) {
    super(described.chunk, described.start, fd);
    const text = described.linkText;
    const deleted = text.endsWith(DELETED) && described.nlink === 0n;
    this.pid = pid;
    this.link = deleted ? text.slice(0, -DELETED.length) : text;
    this.deleted = deleted;
    this.#hostPid = hostPid;
    this.#number = described.fd;
    this.#fdinfoMax = fdinfoMax;
    if (described.mode === 0 && !isOfDead(text, described.fsType)) throw unreachable({ pid, fd, path: text }, 'ENOENT');
  }

  /** The descriptors of a process that is gone are a directory whose inode tells nothing (proc_fd_getattr(), fs/proc/fd.c). */
  override get mode(): number {
    return super.mode === 0 ? MODE_OF_DEAD : super.mode;
  }

  override get nlink(): bigint {
    return super.mode === 0 ? 2n : super.nlink;
  }

  override get fdinfo(): string {
    const text = super.fdinfo;
    return text.length <= this.#fdinfoMax ? text : text.slice(0, text.lastIndexOf('\n', this.#fdinfoMax) + 1);
  }

  get via(): string {
    return pathOf(this.#hostPid, this.#number);
  }

  get flags(): number {
    return this.openFlags & ~O_CLOEXEC;
  }
}

/** Who gets SIGIO: man 2 fcntl. The pids are those of the engine's pid namespace. */
function fownEntry({ type, pid, signal, uid, euid }: DescribedFd['owner']): FownEntry {
  if (pid === 0) return signal === 0 ? NO_OWNER : { ...NO_OWNER, signum: signal };
  return { uid, euid, signum: signal, pid_type: type, pid };
}
