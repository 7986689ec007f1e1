import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readlinkSync, statfsSync } from 'node:fs';
import type { FdinfoEntry, FileEntry, FownEntry } from '@crts/image-io';
import { closeFd, kcmpFile, pidfdGetfd, rawSyscall } from '@crts/native-syscalls';
import {
  decodeName,
  type FdFacts,
  type FdHandler,
  type FileRecord,
  type FileRegistry,
  type FrozenTask,
  type ImageRecord,
} from '@crts/plugin-api';
import { noFdHandler } from './errors';
import { bestHandler } from './registry';

const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const F_GETSIG = 11;
const F_GETOWN_EX = 16;
const F_GETOWNER_UIDS = 17;
const FD_CLOEXEC = 1;

/** File descriptions of the dump: each is written once, whoever refers to it. */
export class FileTable implements FileRegistry {
  readonly entries: FileEntry[] = [];
  readonly #handlers: readonly FdHandler[];
  readonly #paths = new Map<string, number>();
  #nextId = 1;

  constructor(handlers: readonly FdHandler[]) {
    this.#handlers = handlers;
  }

  addPath(task: FrozenTask, file: Parameters<FileRegistry['addPath']>[1]): number {
    const key = `${file.flags} ${file.path}`;
    const known = this.#paths.get(key);
    if (known !== undefined) return known;
    const local = openSync(file.via, O_PATH);
    try {
      const facts = {
        ...statFacts(local),
        pid: task.pid,
        fd: -1,
        local,
        link: file.path,
        deleted: file.deleted,
        flags: file.flags,
        fdinfo: '',
        pos: 0n,
        mntId: 0,
      };
      const id = this.#add(task, facts, NO_OWNER);
      this.#paths.set(key, id);
      return id;
    } finally {
      closeSync(local);
    }
  }

  /** Dumps every descriptor of a task; the entries are those of its fdinfo image. */
  addDescriptors(task: FrozenTask, pidfd: number, numbers: readonly number[]): FdinfoEntry[] {
    const seen = new Map<string, { fd: number; id: number; type: number }[]>();
    return numbers.map((fd) => {
      const local = pidfdGetfd(pidfd, fd);
      try {
        const facts = fdFacts(task, fd, local);
        const cloexec = (facts.flags & O_CLOEXEC) !== 0;
        // kcmp(2) orders descriptions; asking only among those that look alike keeps the number of calls low.
        const key = `${facts.dev}:${facts.ino}:${facts.pos}:${facts.flags & ~O_CLOEXEC}`;
        const alike = seen.get(key) ?? [];
        let same = alike.find((other) => kcmpFile(task.hostPid, task.hostPid, other.fd, fd) === 0);
        if (same === undefined) {
          const id = this.#add(task, { ...facts, flags: facts.flags & ~O_CLOEXEC }, readOwner(local));
          same = { fd, id, type: this.entries.at(-1)!.type };
          seen.set(key, [...alike, same]);
        }
        return { id: same.id, flags: cloexec ? FD_CLOEXEC : 0, type: same.type, fd };
      } finally {
        closeFd(local);
      }
    });
  }

  #add(task: FrozenTask, facts: FdFacts, fown: FownEntry): number {
    const handler = bestHandler(
      this.#handlers,
      (candidate) => candidate.match(facts),
      `fd ${facts.fd} (${facts.link})`,
    );
    if (handler === undefined) throw noFdHandler(task.pid, facts.fd, facts.link);
    const id = this.#nextId++;
    const addRecord = (make: (id: number) => FileRecord) => this.#push(this.#nextId++, make);
    return this.#push(id, () =>
      handler.dump(facts, { task, options: task.options, log: task.log, id, addRecord, fown: fown as ImageRecord }),
    );
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

function statFacts(local: number) {
  const { mode, dev, ino, rdev, size, nlink } = fstatSync(local, { bigint: true });
  const { type } = statfsSync(`/proc/self/fd/${local}`, { bigint: true });
  return { mode: Number(mode), dev, ino, rdev, sizeBytes: size, nlink, fsType: type };
}

function fdFacts(task: FrozenTask, fd: number, local: number): FdFacts {
  const text = decodeName(readlinkSync(`/proc/${task.hostPid}/fd/${fd}`, 'buffer'));
  const stat = statFacts(local);
  const deleted = stat.nlink === 0n && text.endsWith(' (deleted)');
  const fdinfo = readFileSync(`/proc/${task.hostPid}/fdinfo/${fd}`, 'utf8');
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(fdinfo)?.[1] ?? '0';
  return {
    ...stat,
    pid: task.pid,
    fd,
    local,
    link: deleted ? text.slice(0, -' (deleted)'.length) : text,
    deleted,
    // Octal, with O_CLOEXEC where the descriptor has it: proc_fd seq_show(), fs/proc/fd.c.
    flags: Number.parseInt(field('flags'), 8),
    fdinfo,
    pos: BigInt(field('pos')),
    mntId: Number(field('mnt_id')),
  };
}

/** Who gets SIGIO: man 2 fcntl. The pids are those of the engine's pid namespace. */
function readOwner(local: number): FownEntry {
  const owner = new Int32Array(2);
  // O_PATH descriptors answer EBADF: they have no owner.
  if (rawSyscall('fcntl', local, F_GETOWN_EX, owner) < 0 || owner[1] === 0) return NO_OWNER;
  const uids = new Int32Array(2);
  rawSyscall('fcntl', local, F_GETOWNER_UIDS, uids);
  const signum = rawSyscall('fcntl', local, F_GETSIG, 0);
  return {
    uid: uids[0]! >>> 0,
    euid: uids[1]! >>> 0,
    signum: Math.max(0, signum),
    pid_type: owner[0]!,
    pid: owner[1]!,
  };
}
