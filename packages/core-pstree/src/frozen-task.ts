import { readFileSync, readlinkSync } from 'node:fs';
import type { CoreEntry, FdinfoEntry } from '@crts/image-io';
import { preadFull } from '@crts/native-syscalls';
import {
  decodeName,
  type FrozenTask,
  type FrozenThread,
  type ImageRecord,
  type Program,
  type TaskFacts,
  type TaskImages,
  type ThreadFacts,
  type ThreadState,
} from '@crts/plugin-api';
import type { FileTable } from './file-table';
import type { Target } from './freeze';
import type { DumpRequest } from './requests';

const MARCH_X86_64 = 1;

/** The contract's view of a stopped thread. */
export class StoppedThread implements FrozenThread {
  readonly hostTid: number;

  constructor(
    readonly task: Frozen,
    readonly tid: number,
    readonly facts: ThreadFacts,
    readonly core: ImageRecord,
  ) {
    this.hostTid = tid;
  }

  get isMain(): boolean {
    return this.tid === this.task.pid;
  }

  get state(): ThreadState {
    return this.task.threadState(this.tid);
  }

  readProc(name: string): string {
    return readFileSync(`/proc/${this.task.hostPid}/task/${this.hostTid}/${name}`, 'utf8');
  }

  pendingSignals(): readonly Buffer[] {
    return this.task.pending(this.tid, false);
  }
}

/** The contract's view of the frozen task. */
export class Frozen implements FrozenTask {
  readonly pid: number;
  readonly hostPid: number;
  readonly pagesId = 1;
  readonly images: TaskImages;
  readonly threads: readonly StoppedThread[];
  descriptors: readonly FdinfoEntry[] = [];

  constructor(
    readonly request: DumpRequest,
    readonly target: Target,
    readonly facts: TaskFacts,
    readonly files: FileTable,
  ) {
    this.pid = request.pid;
    this.hostPid = request.pid;
    const core = {
      mtype: MARCH_X86_64,
      thread_info: { tls: [] },
      tc: { sigactions: [] },
      thread_core: {},
    } as unknown as CoreEntry;
    this.images = {
      core,
      mm: { vmas: [], aios: [], mm_saved_auxv: [], crts_saved_auxv: [] },
      fs: {},
      locks: [],
      ttys: [],
    };
    this.threads = [new StoppedThread(this, this.pid, facts, core)];
  }

  get tree() {
    return this.files;
  }

  threadState(_tid: number): ThreadState {
    return this.target.thread;
  }

  /** Queued signals of the process, or of one thread. */
  pending(_tid: number, shared: boolean): readonly Buffer[] {
    return this.target.pendingSignals(shared);
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
    return readFileSync(`/proc/${this.hostPid}/${name}`, 'utf8');
  }

  readProcBytes(name: string): Buffer {
    return readFileSync(`/proc/${this.hostPid}/${name}`);
  }

  readLink(name: string): string {
    return decodeName(readlinkSync(`/proc/${this.hostPid}/${name}`, 'buffer'));
  }

  pendingSignals(): readonly Buffer[] {
    return this.pending(this.pid, true);
  }

  run(build: (program: Program) => void): void {
    this.target.infection.task.run(build);
  }
}
