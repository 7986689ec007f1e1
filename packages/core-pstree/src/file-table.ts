import { readdirSync, statSync } from 'node:fs';
import type { FdinfoEntry, FileEntry, FownEntry } from '@crts/image-io';
import { closeFd, cPath, type DescribedFd, kcmpFile, syscallOn, visitDescriptors } from '@crts/native-syscalls';
import {
  decodeName,
  type FdDumpContext,
  type FdFacts,
  type FdHandler,
  type FileRecord,
  type FileRegistry,
  type FrozenTask,
  type ImageItem,
  type ImageRecord,
  type SharedMemory,
  type TreeDescriptor,
  type TreeImages,
} from '@crts/plugin-api';
import { directoryNotify, noFdHandler } from './errors';
import { linkUnread } from './file-errors';
import { bestHandler } from './registry';
import type { DumpRemaps } from './remaps';

const AT_FDCWD = -100;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const FD_CLOEXEC = 1;
/** memfd_inode_entry.shmid has 32 bits. */
const SHMID_MAX = 0xffff_ffffn;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
/** Result of kcmp(2): the first is less. */
const KCMP_LESS = 1;

/** A descriptor of a task, or of the engine itself. */
interface Holder {
  readonly hostPid: number;
  readonly fd: number;
}

/** A description met at a descriptor. */
interface Known extends Holder {
  readonly id: number;
  readonly type: number;
}

/** File descriptions of the dump: each is written once, whoever refers to it. */
export class FileTable implements FileRegistry, TreeImages {
  readonly entries: FileEntry[] = [];
  /** Entries of further images of the whole tree, by kind. */
  readonly items = new Map<string, ImageItem[]>();
  /** Objects whose contents are to be stored, by the number of their contents. */
  readonly sharedMemory = new Map<number, SharedMemory>();
  readonly #handlers: readonly FdHandler[];
  readonly #remaps: DumpRemaps | undefined;
  readonly #processes: ReadonlySet<number>;
  readonly #paths = new Map<string, number>();
  readonly #firsts = new Set<string>();
  readonly #descriptors: TreeDescriptor[] = [];
  readonly #afterAll: (() => void)[] = [];
  readonly #inFlight: { readonly task: FrozenTask; readonly local: number; id: number }[] = [];
  /** Descriptions that look alike, in the order of kcmp(2). */
  readonly #alike = new Map<string, Known[]>();
  #nextId = 1;

  /** `processes`: host pids of the tree. A rehearsal has no `remaps`: nothing is written. */
  constructor(handlers: readonly FdHandler[], processes: readonly number[], remaps?: DumpRemaps) {
    this.#handlers = handlers;
    this.#processes = new Set(processes);
    this.#remaps = remaps;
  }

  addPath(task: FrozenTask, file: Parameters<FileRegistry['addPath']>[1]): number {
    // Deleted files and memfds may share a name.
    const identity = file.deleted ? objectOf(file.via) : '';
    const key = `${file.flags} ${file.path} ${identity}`;
    const known = this.#paths.get(key);
    if (known !== undefined) return known;
    const { via, path: link, deleted, flags } = file;
    const local = syscallOn(via, 'openat', AT_FDCWD, cPath(via), O_PATH | O_CLOEXEC, 0);
    try {
      const [id] = visitDescriptors(process.pid, undefined, [local], (described) => {
        const stat = { ...statFacts(described), via, pid: task.pid, fd: -1, local };
        const { mntId } = headOf(described);
        return this.#add(task, { ...stat, link, deleted, flags, fdinfo: '', pos: 0n, mntId }, NO_OWNER);
      });
      this.#paths.set(key, id!);
      return id!;
    } finally {
      closeFd(local);
    }
  }

  /**
   * Dumps every descriptor of a task; the entries are those of its fdinfo image. All tasks of the tree must stand still.
   */
  addDescriptors(task: FrozenTask, pidfd: number, numbers: readonly number[]): FdinfoEntry[] {
    const { hostPid } = task;
    const dump = (described: DescribedFd) => {
      const { fd } = described;
      const facts = fdFacts(task, hostPid, described);
      const cloexec = (facts.flags & O_CLOEXEC) !== 0;
      const own = { ...facts, flags: facts.flags & ~O_CLOEXEC };
      const { id, type } = this.#description(task, { hostPid, fd }, own, described.owner);
      this.#descriptors.push({ task, fd, id, facts });
      return { id, flags: cloexec ? FD_CLOEXEC : 0, type, fd };
    };
    try {
      return visitDescriptors(hostPid, pidfd, numbers, dump);
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
      for (const { local } of this.#inFlight.splice(0)) closeFd(local);
    }
  }

  #flying(task: FrozenTask, local: number): number {
    const holder = { hostPid: process.pid, fd: local };
    const [id] = visitDescriptors(process.pid, undefined, [local], (described) => {
      const facts = fdFacts(task, process.pid, described);
      return this.#description(task, holder, { ...facts, fd: -1, flags: facts.flags & ~O_CLOEXEC }, described.owner).id;
    });
    return id!;
  }

  /**
   * kcmp(2) orders descriptions: asking only among those that look alike, and by halves, keeps the number of calls low
   * also where a thousand tasks have opened /dev/null each for itself.
   */
  #description(task: FrozenTask, holder: Holder, facts: FdFacts, owner: DescribedFd['owner']): Known {
    const key = `${facts.dev}:${facts.ino}:${facts.pos}:${facts.flags}`;
    const alike = this.#alike.get(key) ?? [];
    let low = 0;
    for (let high = alike.length; low < high; ) {
      const middle = (low + high) >> 1;
      const other = alike[middle]!;
      const order = kcmpFile(other.hostPid, holder.hostPid, other.fd, holder.fd);
      if (order === 0) return other;
      if (order === KCMP_LESS) low = middle + 1;
      else high = middle;
    }
    if (owner.pid !== 0 && (facts.mode & S_IFMT) === S_IFDIR) throw directoryNotify(task.pid, facts.fd, facts.link);
    const id = this.#add(task, facts, fownEntry(owner));
    // The entry of the description itself is pushed after those that it refers to.
    const known = { ...holder, id, type: this.entries.at(-1)!.type };
    alike.splice(low, 0, known);
    this.#alike.set(key, alike);
    return known;
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
    const context: FdDumpContext = {
      task,
      options: task.options,
      log: task.log,
      id,
      fown: fown as ImageRecord,
      addRecord: (make) => this.#push(this.#nextId++, make),
      nameOf: (file, ownId) => this.#remaps?.nameOf(file, { ...context, id: ownId ?? id }) ?? file.link,
      first: (key) => this.first(key),
      addItem: (kind, item) => this.addItem(kind, item),
      addInFlight: (local) => {
        const one = { task, local, id: 0 };
        this.#inFlight.push(one);
        return () => one.id;
      },
      processes: this.#processes,
      descriptors: this.#descriptors,
      afterAll: (action) => this.#afterAll.push(action),
      addSharedMemory: (memory) => this.addSharedMemory(memory),
    };
    return this.#push(id, () => handler.dump(facts, context));
  }

  #push(id: number, make: (id: number) => FileRecord): number {
    const record = make(id);
    this.entries.push({ type: record.type, id, [record.field]: record.value } as FileEntry);
    return id;
  }
}

/** Numbers in a task's table, ascending. Ask before the agent is in: it has a descriptor too. */
export function descriptorNumbers(hostPid: number): number[] {
  return readdirSync(`/proc/${hostPid}/fd`)
    .map(Number)
    .sort((a, b) => a - b);
}

const NO_OWNER: FownEntry = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };

function objectOf(path: string): string {
  const { dev, ino } = statSync(path, { bigint: true });
  return `${dev}:${ino}`;
}

function statFacts({ mode, uid, gid, dev, ino, rdev, sizeBytes, nlink, fsType }: DescribedFd) {
  return { mode, uid, gid, dev, ino, rdev, sizeBytes, nlink, fsType };
}

/** The first lines are the same for every kind: seq_show(), fs/proc/fd.c. */
const FDINFO_HEAD = /^pos:\s*(\S+)\nflags:\s*(\S+)\nmnt_id:\s*(\S+)/;
const DELETED = ' (deleted)';

function headOf({ fdinfo }: DescribedFd) {
  const [, pos = '0', flags = '0', mntId = '0'] = FDINFO_HEAD.exec(fdinfo) ?? [];
  // Octal, with O_CLOEXEC where the descriptor has it.
  return { pos: BigInt(pos), flags: Number.parseInt(flags, 8), mntId: Number(mntId) };
}

function fdFacts(task: FrozenTask, hostPid: number, described: DescribedFd): FdFacts {
  const { fd, fdinfo } = described;
  const text = decodeName(described.link);
  const deleted = described.nlink === 0n && text.endsWith(DELETED);
  return {
    ...headOf(described),
    ...statFacts(described),
    via: `/proc/${hostPid}/fd/${fd}`,
    pid: task.pid,
    fd,
    local: described.local,
    link: deleted ? text.slice(0, -DELETED.length) : text,
    deleted,
    fdinfo,
  };
}

/** Who gets SIGIO: man 2 fcntl. The pids are those of the engine's pid namespace. */
function fownEntry({ type, pid, signal, uid, euid }: DescribedFd['owner']): FownEntry {
  if (pid === 0) return signal === 0 ? NO_OWNER : { ...NO_OWNER, signum: signal };
  return { uid, euid, signum: signal, pid_type: type, pid };
}
