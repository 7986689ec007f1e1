import type { CoreEntry, FdinfoEntry, TaskKobjIdsEntry } from '@crts/image-io';
import {
  preadFull,
  ptraceGetSyscallDispatch,
  readLinkBytes,
  readSmallFile,
  readSmallFiles,
  SyscallError,
} from '@crts/native-syscalls';
import {
  type ClockShift,
  decodeName,
  type FrozenTask,
  type FrozenThread,
  type ImageRecord,
  type Program,
  type SyscallDispatch,
  type TaskFacts,
  type TaskImages,
  type ThreadFacts,
  type ThreadState,
  type TreeDescriptor,
  type VmaFacts,
} from '@crts/plugin-api';
import { linkUnread } from './file-errors';
import type { FileTable } from './file-table';
import type { Objects } from './forks/objects';
import type { DumpRequest } from './requests';
import type { Target } from './target';

const MARCH_X86_64 = 1;

/** The contract's view of a stopped thread. */
export class StoppedThread implements FrozenThread {
  readonly hostTid: number;
  hasOwnDirectories = false;

  constructor(
    readonly task: Frozen,
    readonly tid: number,
    readonly core: ImageRecord,
  ) {
    this.hostTid = tid;
  }

  get isMain(): boolean {
    return this.tid === this.task.pid;
  }

  get facts(): ThreadFacts {
    return this.task.target.thread(this.hostTid).facts;
  }

  get state(): ThreadState {
    return this.task.target.thread(this.hostTid).state;
  }

  readProc(name: string): string {
    return this.task.readThreadFile(this.hostTid, name);
  }

  pendingSignals(): readonly Buffer[] {
    return this.task.target.pendingSignals(this.hostTid, false);
  }

  syscallDispatch(): SyscallDispatch | undefined {
    return this.task.syscallDispatchOf(this.hostTid);
  }
}

/** Where a process has its place in the tree and in the images. */
export interface Place {
  readonly ppid: number;
  readonly pagesId: number;
  readonly ids: TaskKobjIdsEntry;
  /** Of each kind of object the first task that has it; itself unless told. */
  readonly owners?: Objects | undefined;
  /** The mappings as handlers are to see them; as the kernel shows them unless told. */
  readonly vmas?: readonly VmaFacts[] | undefined;
  readonly clockShift?: ClockShift | undefined;
}

/** What of a Target the contract's view needs. */
export type Stopped = Pick<
  Target,
  'pid' | 'stopSignal' | 'facts' | 'tids' | 'thread' | 'mem' | 'pidfd' | 'pendingSignals' | 'infection'
>;

/** The contract's view of the frozen task. */
export class Frozen implements FrozenTask {
  readonly pid: number;
  readonly hostPid: number;
  readonly ppid: number;
  readonly pagesId: number;
  readonly ids: TaskKobjIdsEntry;
  readonly owners: Objects;
  readonly images: TaskImages;
  readonly threads: readonly StoppedThread[];
  readonly facts: TaskFacts;
  readonly clockShift: ClockShift | undefined;
  /** Files under /proc/PID/task/TID by name, and by thread. */
  readonly #threadFiles = new Map<string, ReadonlyMap<number, string | number>>();
  descriptors: readonly TreeDescriptor[] = [];
  /** Of its table of descriptors, where it is the first that has it. */
  fdinfo: readonly FdinfoEntry[] = [];

  tableHolders: readonly number[] | undefined;

  constructor(
    readonly request: DumpRequest,
    readonly target: Stopped,
    readonly files: FileTable,
    { ppid, pagesId, ids, owners, vmas, clockShift }: Place,
  ) {
    this.pid = target.pid;
    this.hostPid = target.pid;
    this.ppid = ppid;
    this.pagesId = pagesId;
    this.ids = ids;
    this.clockShift = clockShift;
    this.owners = owners ?? { vm: this.pid, files: this.pid, fs: this.pid, sighand: this.pid };
    this.facts = vmas === undefined ? target.facts : { ...target.facts, vmas };
    const core = { ...emptyCore(), tc: { sigactions: [] } } as unknown as CoreEntry;
    this.images = {
      core,
      mm: { vmas: [], aios: [], mm_saved_auxv: [], crts_saved_auxv: [] },
      fs: {},
      locks: [],
      ttys: [],
    };
    this.threads = target.tids.map((tid) => new StoppedThread(this, tid, tid === this.pid ? core : emptyCore()));
  }

  get stopSignal(): number | undefined {
    return this.target.stopSignal;
  }

  get tree() {
    return this.files;
  }

  get options() {
    return this.request;
  }

  get log() {
    return this.request.log;
  }

  readMemory(addr: bigint, lengthBytes: number): Buffer {
    const bytes = Buffer.alloc(lengthBytes);
    preadFull(this.target.mem, bytes, addr);
    return bytes;
  }

  readProc(name: string): string {
    return readSmallFile(`/proc/${this.hostPid}/${name}`).toString();
  }

  /** What is asked of one thread is asked of all. They stand still. */
  readThreadFile(hostTid: number, name: string): string {
    let files = this.#threadFiles.get(name);
    if (files === undefined) {
      files = readOfThreads(this.hostPid, this.threads, name);
      this.#threadFiles.set(name, files);
    }
    const content = files.get(hostTid)!;
    if (typeof content === 'string') return content;
    throw new SyscallError('read', -content, undefined, `/proc/${this.hostPid}/task/${hostTid}/${name}`);
  }

  readProcBytes(name: string): Buffer {
    return readSmallFile(`/proc/${this.hostPid}/${name}`);
  }

  readLink(name: string): string {
    try {
      return decodeName(readLinkBytes(`/proc/${this.hostPid}/${name}`));
    } catch (error) {
      throw linkUnread(this.pid, error);
    }
  }

  pendingSignals(): readonly Buffer[] {
    return this.target.pendingSignals(this.hostPid, true);
  }

  syscallDispatchOf(hostTid: number): SyscallDispatch | undefined {
    return ptraceGetSyscallDispatch(hostTid);
  }

  run(build: (program: Program) => void): void {
    this.target.infection.task.run(build);
  }
}

function readOfThreads(
  hostPid: number,
  threads: readonly StoppedThread[],
  name: string,
): ReadonlyMap<number, string | number> {
  const found = new Map<number, string | number>();
  readSmallFiles(
    threads.map(({ hostTid }) => `/proc/${hostPid}/task/${hostTid}/${name}`),
    (index, content) => {
      found.set(threads[index]!.hostTid, typeof content === 'number' ? content : decodeName(content));
    },
  );
  return found;
}

function emptyCore(): ImageRecord {
  return { mtype: MARCH_X86_64, thread_info: { tls: [] }, thread_core: {} };
}
