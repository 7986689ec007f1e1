import type { Fd, FileId, Pid } from './brands';
import type { CrtsError } from './errors';
import type {
  ClockShift,
  FdFacts,
  SyscallDispatch,
  TaskFacts,
  TaskIdentity,
  ThreadFacts,
  ThreadIdentity,
  ThreadState,
  VmaFacts,
} from './facts';
import type { FilePlanner, HostStepContext, TaskPlan, ThreadPlan } from './plan';
import type { Arg, CallOptions, PageRun, Program } from './program';
import type { RemappedFile } from './remaps';
import type { RunOptions } from './run-options';
import type { SharedMemory, SharedObjects } from './shared-objects';

/**
 * Image messages cross the contract as plain records: image-io's interfaces (`CoreEntry`, `MmEntry`) describe
 * them, and a handler that writes a known message imports its type from there. The contract itself stays free of it.
 */
export type ImageRecord = Record<string, unknown>;

/** An entry of an image with the raw bytes that follow it in the file (contents of a pipe, of a socket's queue). */
export interface ImageItem {
  readonly value: ImageRecord;
  readonly extra?: Buffer | undefined;
}

/** The per-task images under construction (dump) or as read (restore). */
export interface TaskImages {
  readonly core: ImageRecord;
  readonly mm: ImageRecord;
  readonly fs: ImageRecord;
  /** `file_lock_entry` of the task's locks. */
  readonly locks: ImageRecord[];
  /** `tty_info_entry` of its terminals. */
  readonly ttys: ImageRecord[];
}

/** Log lines carry fields; nothing is logged and thrown. */
export interface Logger {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
}

/** Gives file descriptions their ids in the image set; a description met twice gets one id. */
export interface FileRegistry {
  /**
   * Registers the file at `path` as the task sees it (mapped file, executable, cwd, root) and returns its id.
   * `expected` is the identity that the kernel reported for it: another file under that name is refused.
   */
  addPath(
    task: FrozenTask,
    file: {
      readonly path: string;
      readonly deleted: boolean;
      /** A /proc path that reaches the very object: `/proc/12/exe`, `/proc/12/map_files/...`. */
      readonly via: string;
      /** O_* flags to open it with at restore. */
      readonly flags: number;
      /** What it is for errors: `executable`, `mapping 7f00-7f10`. */
      readonly role: string;
    },
  ): FileId;
}

/** A task that is stopped and infected, dump side. */
export interface FrozenTask extends TaskIdentity {
  /** Id of the task's pages image, from 1 in the order of the tree. */
  readonly pagesId: number;
  readonly facts: TaskFacts;
  /** All threads; the main thread, whose tid is the pid, is the first. */
  readonly threads: readonly FrozenThread[];
  readonly images: TaskImages;
  /** The signal that had stopped it (job control) before the dump, where one had. */
  readonly stopSignal?: number | undefined;
  /** Absent where the tree has the clocks of crts. */
  readonly clockShift?: ClockShift | undefined;
  /** Images of the whole tree. */
  readonly tree: TreeImages;
  readonly files: FileRegistry;
  /** The task's descriptors with the ids of their descriptions, ascending; known when `dump` is called. */
  readonly descriptors: readonly {
    readonly fd: number;
    readonly id: number;
    /** Facts of the description as the engine gathered them, for who needs all of them at once (locks). */
    readonly facts?: FdFacts | undefined;
  }[];
  /** Host pids of the tasks that have one table of descriptors, where it is not the task's alone: `descriptors` are with the first. */
  readonly tableHolders?: readonly Pid[] | undefined;
  readonly options: RunOptions;
  readonly log: Logger;
  /** Reads the task's memory through /proc/PID/mem, whatever its protection. Throws CrtsError when unmapped. */
  readMemory(addr: bigint, lengthBytes: number): Buffer;
  /** Text of a file under /proc/PID. */
  readProc(name: string): string;
  readProcBytes(name: string): Buffer;
  /** Text of a link under /proc/PID. */
  readLink(name: string): string;
  /**
   * Signals queued for the process as raw siginfo_t, in order. Timers may queue one at any moment: ask after the timers
   * were read, so that a signal comes twice rather than never.
   */
  pendingSignals(): readonly Buffer[];
  /** Runs a program inside the task, in its main thread. Throws CrtsError at the first unmet expectation. */
  run(build: (program: Program) => void): void;
}

/** A stopped thread, dump side. */
export interface FrozenThread extends ThreadIdentity {
  readonly task: FrozenTask;
  readonly facts: ThreadFacts;
  readonly state: ThreadState;
  /** `core_entry` of the thread under construction; the main thread's is the process's own. */
  readonly core: ImageRecord;
  /** Its directories and umask are not those of the main thread (unshare(2), CLONE_FS), nor of any other. */
  readonly hasOwnDirectories: boolean;
  /** Text of a file under /proc/PID/task/TID. */
  readProc(name: string): string;
  /** Signals queued for this thread alone, as raw siginfo_t, in order. */
  pendingSignals(): readonly Buffer[];
  /** Syscall user dispatch, where the thread uses it; for refuse() and refuseThread(): later its agent may run. */
  syscallDispatch(): SyscallDispatch | undefined;
}

/** Images that are not of one task, under construction. */
export interface TreeImages {
  /** True the first time in this dump that it is asked with `key`. */
  first(key: string): boolean;
  /** Adds an entry to an image of the whole tree, `addItem('seccomp', { value })`. Images come in the order of the entries. */
  addItem(kind: string, item: ImageItem): void;
  /** Has the contents of an object stored, once. Returns the number of its contents in the images (CRIU: shmid). */
  addSharedMemory(memory: SharedMemory): number;
}

/**
 * State of a task that is neither memory nor descriptors: registers, credentials, timers, limits. What each thread has
 * for itself is asked of every thread, the main one included; the rest once for the process, in its main thread.
 */
export interface TaskStateHandler {
  readonly name: string;
  /** Says why this task cannot be dumped, from facts alone; called before the agent is in. */
  refuse?(task: FrozenTask): CrtsError | undefined;
  refuseThread?(thread: FrozenThread): CrtsError | undefined;
  /**
   * Emits what only the task can say into the one collecting program of all handlers. The function returned runs
   * after it and fills the images.
   */
  dump?(task: FrozenTask, program: Program): () => void;
  /**
   * The same for threads: the questions are put together once, and asked of every thread. The function returned runs for each, when
   * results and outputs of the program are that thread's. Calls that only ask: nothing that sleeps, changes the thread, or touches
   * its restart block.
   */
  dumpThread?(program: Program): (thread: FrozenThread) => void;
  /** Validates its part of the images and adds its passes. No I/O. */
  plan?(images: TaskImages, plan: TaskPlan, context: RestoreContext): void;
  /** The same for one thread; `core` is its `core_entry`. */
  planThread?(core: ImageRecord, plan: ThreadPlan, context: RestoreContext): void;
}

export interface RestoreContext {
  readonly files: FilePlanner;
  readonly options: RunOptions;
  readonly log: Logger;
  /** Entries of an image of the whole tree; none when the set does not have it. Untrusted. */
  items(kind: string): readonly ImageItem[];
  /** A stretch of the address space that no mapping of the task touches; the agent lives there until the end. */
  readonly agentArea: { readonly start: bigint; readonly end: bigint };
  readonly shared: SharedObjects;
  /** Contents of the task's pages, for the handlers of mappings. */
  readonly pages: PageSource;
  /** Emits the transfer of all stored pages of [start, end) into the task. The mapping must be writable then. */
  fillPages(program: Program, start: bigint, end: bigint): void;
}

/** A run of stored pages; `fileOffset` counts in the file with this index. */
export interface StoredRun extends PageRun {
  readonly file: number;
}

/** Page contents of one task in the image set. */
export interface PageSource {
  /** The engine's descriptors of pages files, to be sent to the task: that of the set itself, then those of its parents. */
  readonly files: readonly number[];
  /** Their names as seen from the set, `parent/pages-1.img`. */
  readonly names: readonly string[];
  /** Stretches that may come later than the rest (PE_LAZY), ascending; contents of some may be with a page server only. */
  readonly lazy: readonly { readonly start: bigint; readonly end: bigint }[];
  /** The same with what the sets that this one builds on hold: CRIU lets none of that come later. */
  readonly lazyWithParents: readonly { readonly start: bigint; readonly end: bigint }[];
  /** Runs of stored pages inside [start, end), ascending, never overlapping. */
  runs(start: bigint, end: bigint): readonly StoredRun[];
  /** Bytes of stored memory for checks at plan time (the vdso); undefined where nothing is stored. */
  read(addr: bigint, lengthBytes: number): Buffer | undefined;
}

/** Which pages of a mapping go to the images. */
export type PageSelection =
  /** Pages that hold data of their own: anonymous, or private copies of file pages. */
  | 'private'
  /** Every page, touched or not. */
  | 'all'
  | 'none';

export interface VmaDump {
  /** `vma_entry`. */
  readonly entry: ImageRecord;
  readonly pages: PageSelection;
}

/** A kind of mapping. */
export interface VmaHandler {
  readonly name: string;
  /** How well it fits; 0 not at all. Two equal best scores are an error that names both. */
  match(vma: VmaFacts): number;
  dump(vma: VmaFacts, task: FrozenTask): VmaDump;
  /** Whether a `vma_entry` of the images is of this kind. */
  owns(entry: ImageRecord): boolean;
  /** Adds the passes that make the mapping and fill it. Provides `vma:START` (hex, no 0x). */
  plan(entry: ImageRecord, images: TaskImages, plan: TaskPlan, context: RestoreContext): void;
}

/** A number in the table of a task of the tree, with the id of the description that it refers to. */
export interface TreeDescriptor {
  readonly task: FrozenTask;
  readonly fd: number;
  readonly id: FileId;
  readonly facts: FdFacts;
}

export interface FdDumpContext extends TreeImages {
  readonly task: FrozenTask;
  readonly options: RunOptions;
  readonly log: Logger;
  /** Id that the engine gave to this description. */
  readonly id: FileId;
  /** Adds a further entry that this one refers to, and returns its id. */
  addRecord(make: (id: FileId) => FileRecord): FileId;
  /** Entries of these ids stand in this order in the images, for a reader that wants one of them first. */
  orderRecords(ids: readonly FileId[]): void;
  /**
   * The name for the entry of a file: its own, or one that a RemapHandler takes care of (unlinked, dead process). `id` is
   * that of the entry, where it is not the description's own.
   * @throws CrtsError when neither leads to the file again
   */
  nameOf(fd: FdFacts, id?: FileId): string;
  /** `fown_entry` as the engine read it (F_GETOWN_EX, F_GETSIG, F_GETOWNER_UIDS). */
  readonly fown: ImageRecord;
  /**
   * A description that the task refers to without a number (in flight in a socket): `local` is the engine's from now on. The function returned tells
   * its id, and is for an `afterAll`: a description that some task has open as well keeps its one id.
   */
  addInFlight(local: Fd): () => FileId;
  /** Host pids of all processes of the tree, also of those that are dead and not waited for. */
  readonly processes: ReadonlySet<number>;
  /** Descriptors of the tree met so far; all of them when an `afterAll` runs. */
  readonly descriptors: readonly TreeDescriptor[];
  /** Descriptions that are in flight in sockets; `fd` is the engine's duplicate, which is there until `afterAll` is over. */
  readonly inFlight: readonly TreeDescriptor[];
  /**
   * Runs `action` when all descriptors of the tree were met and none is written: it may refuse, and change its entry. The
   * borrowed duplicates are gone then.
   */
  afterAll(action: () => void): void;
}

/** `file_entry` without its id, which is the engine's: the union's type number and the one field in use. */
export interface FileRecord {
  /** `fd_types`: 1 is REG. */
  readonly type: number;
  /** Name of the union field, `reg`, `efd`. */
  readonly field: string;
  readonly value: ImageRecord;
}

export interface FdPlanContext {
  /** Of the tree, where its clocks are not those of crts. */
  readonly clockShift?: ClockShift | undefined;
  readonly files: FilePlanner;
  readonly shared: SharedObjects;
  /** All records of one union field (`usk`) in the image set, also those that no descriptor refers to. Untrusted. */
  records(field: string): readonly FileRecord[];
  /** `tty_info_entry` of the image set. */
  readonly ttys: readonly ImageRecord[];
  readonly options: RunOptions;
  readonly log: Logger;
  /** Entries of an image of the whole tree; none when the set does not have it. Untrusted: validate in `collect`. */
  items(kind: string): readonly ImageItem[];
  /** How the file of this id comes back where its name does not lead to it. */
  remapOf(id: FileId): RemappedFile | undefined;
  /**
   * Emits what opens a file by its name, by its remap, or, where the dump left it outside (`ext`), by what --inherit-fd hands
   * back. The last two are opened by the engine: flags that make it wait (a FIFO without O_NONBLOCK) are not for them.
   * @throws CrtsError CRTS_FILE_EXTERNAL when nothing is handed back
   */
  openFile(
    program: Program,
    file: { readonly id: FileId; readonly name: string; readonly ext?: boolean | undefined },
    flags: number,
    options: CallOptions,
  ): Arg;
}

/** Where descriptions are opened. */
export interface FdGroupContext extends FdPlanContext {
  /** The task that opens them. */
  readonly pid: Pid;
  /** A number that is free between two handlers' turns: for what must be named before it exists, `/proc/self/fd/NUMBER`. */
  readonly scratch: number;
  /** From here on numbers are free while the task is built: for what has to stay until `finish`. */
  readonly spare: number;
  /** All tasks of the tree. */
  readonly pids: ReadonlySet<Pid>;
}

/** What is done for a group before `planGroup`. */
export interface GroupMakers {
  /** One line for `--dry-run` and `--explain`. */
  readonly what: string;
  readonly why: string;
  /** In the task that opens the group, before `run`. */
  emit(program: Program): void;
  /** Lets other tasks do their part. */
  run(step: HostStepContext): void;
}

/** What a description that refers to others may use of them. */
export interface FdFinishContext extends FdGroupContext {
  /** Numbers of the task that opened the description, with what they refer to. */
  readonly numbers: ReadonlyMap<number, { readonly id: FileId; readonly cloexec: boolean }>;
  /**
   * Emits what gets a duplicate of a description that any task of the tree has, and returns it; the handler closes it.
   * Undefined when no task has a descriptor of it.
   */
  borrow(program: Program, id: FileId): Arg | undefined;
}

/**
 * A kind of file description. Handlers see descriptions; numbers, cloexec, dup and hand-over to other tasks are the
 * engine's: each description is opened in the first task that has it, the others get it from there.
 */
export interface FdHandler {
  readonly name: string;
  /** Types of `--external` that it heeds, `pipe`. One that no handler lists is refused. */
  readonly external?: readonly string[];
  /** How well it fits; 0 not at all. No system calls. `options` tell what is to be left outside. */
  match(fd: FdFacts, options?: RunOptions): number;
  dump(fd: FdFacts, context: FdDumpContext): FileRecord;
  /** Whether it restores this `file_entry` union field. */
  owns(record: FileRecord): boolean;
  /** Validates the entry before anything is opened. */
  collect?(record: FileRecord, context: FdPlanContext): void;
  /** Emits what opens it; returns the descriptor, which the engine moves to its numbers. */
  plan(record: FileRecord, program: Program, context: FdPlanContext): Arg;
  /**
   * Descriptions that one call makes (both ends of a pipe, a socketpair) have the same key, `pipe:12`: they are opened
   * together by `planGroup`, in one task, in the order of their ids, whatever tasks hold them.
   */
  group?(record: FileRecord, context: FdPlanContext): string | undefined;
  /**
   * Pid of the task that should open a group, where the kernel remembers who did; the first that has one of it where there is no such
   * task in the images.
   */
  opener?(records: readonly FileRecord[], context: FdPlanContext): Pid | undefined;
  /**
   * What can be opened only when all threads are there: the engine does it, in stage `credentials`, and gives it to all tasks that have it.
   * Nothing of an earlier stage can refer to it.
   */
  late?(record: FileRecord, context: FdPlanContext): LateDescription | undefined;
  /**
   * What other tasks have to do for a group before it is opened, because the kernel remembers who did it (SO_PEERCRED); undefined, as
   * for most: nothing. It costs two batches of programs more.
   */
  planMakers?(records: readonly FileRecord[], context: FdGroupContext): GroupMakers | undefined;
  /** Emits what opens all of a group, also a group of one; returns a descriptor for each, in their order. */
  planGroup?(records: readonly FileRecord[], program: Program, context: FdGroupContext): readonly Arg[];
  /** Descriptions that are in flight in this one: they are opened too, whether or not a task has them under a number. */
  inFlight?(record: FileRecord, context: FdPlanContext): readonly FileId[];
  /**
   * Emits what needs all descriptors of the task at their numbers (what an epoll watches). `fd` is this description in the task
   * that opened it: its number, or that of a duplicate where it is only in flight.
   */
  finish?(record: FileRecord, fd: Arg, program: Program, context: FdFinishContext): void;
  /** The highest number that `finish` gives to a file for a moment; the engine keeps its own out of the way. -1: none. */
  highestNumber?(record: FileRecord): number;
  /**
   * What must wait until the restore opens, changes and closes no file any more, because the description reports such
   * things to the program (watches): done by the engine from outside, in stage `credentials`. Undefined: nothing to do.
   */
  settle?(record: FileRecord, context: FdPlanContext): Settlement | undefined;
}

/** A description that the engine opens when the tree has all its threads. */
export interface LateDescription {
  /** One line for `--dry-run` and `--explain`. */
  readonly what: string;
  /** Returns the engine's own descriptor, which the engine closes. */
  open(): number;
}

/** A host step at the end of a restore, on one description. */
export interface Settlement {
  /** One line for `--dry-run` and `--explain`. */
  readonly what: string;
  /** `local` is the engine's own duplicate, which the engine closes. */
  run(local: Fd): void;
}
