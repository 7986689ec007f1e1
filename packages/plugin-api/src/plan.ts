import type { Pid } from './brands';
import type { ThreadState } from './facts';
import type { FileRecord } from './handlers';
import type { Arg, Program } from './program';

/**
 * Stages of a restore, in order. All tasks meet before `sharing`, `memory`, `sigchld` and `credentials`, and a task in `resources` or
 * `resume` may be ahead of others. What a task makes in `inheritance` is there before it forks its children, each of which starts
 * with it.
 */
export const STAGES = [
  'namespaces',
  'shared',
  'inheritance',
  'forking',
  'resources',
  'sharing',
  'memory',
  'sigchld',
  'credentials',
  'resume',
] as const;
export type Stage = (typeof STAGES)[number];

/**
 * Name of something that a pass needs or provides, `vma:7f00-7f10`, `fd:3`, `mm`. Names are scoped to the task
 * unless they begin with `tree:`.
 */
export type ResourceName = string;

/** Head of a pass: who emits, when, in which order. Order inside a stage comes from needs and provides alone. */
export interface PassHead {
  readonly plugin: string;
  readonly stage: Stage;
  /** One line for `--dry-run` and `--explain`. */
  readonly what: string;
  /** The image entry it comes from, `core-12.img #0`. */
  readonly entry?: string;
  readonly needs?: readonly ResourceName[];
  readonly provides?: readonly ResourceName[];
}

/** Head of the passes of a mapping, whose stages the engine chooses. */
export type MappingHead = Omit<PassHead, 'stage'>;

/** A mapping that fork(2) hands on copy-on-write. Addresses and `source` say whether a child has the same one as its parent. */
export interface PrivateMapping {
  readonly start: bigint;
  readonly end: bigint;
  /**
   * What `map` maps at `start`, in words: a child that has the same of a parent in the same place, or a part of it, keeps what
   * fork(2) gave it. Undefined: it is made in each task.
   */
  readonly source: string | undefined;
  /** Every task of the same program has it in the same place since execve(2): one that has it elsewhere keeps nothing. */
  readonly isOfProgram?: boolean;
  /** Whether it gets its pages from the images, between `map` and `finish`. `prot` is writable then. */
  readonly hasPages: boolean;
  /** Protection that `map` leaves, and `finish` finds. */
  readonly prot: number;
  /** Emits what maps it; not called where it is kept. */
  map(program: Program): void;
  /** Emits what is the task's own: final protection, advice, locks. */
  finish(program: Program): void;
}

/** The part of a restore plan that builds one task. */
export interface TaskPlan {
  readonly pid: Pid;
  /** Whether it is the root of the tree. Its host steps of stage `namespaces` are done before it forks the others. */
  readonly isRoot: boolean;
  /** Adds a pass. `emit` is called once, while the plan is compiled, in the pass's final place. */
  pass(head: PassHead, emit: (program: Program) => void): void;
  /** Adds the passes of a mapping, with its pages: in stage `memory`, or before, where children are to share them. */
  privateMapping(head: MappingHead, mapping: PrivateMapping): void;
  /**
   * Adds an action of the engine between two batches: the exception, for what needs a value known only at run
   * time or that only an outsider can do. `run` must not assume which batch comes next.
   */
  hostStep(head: PassHead & { readonly why: string }, run: (step: HostStepContext) => void): void;
  /**
   * Emitted when the task has just founded its session and has no children yet: what they are to inherit with it (the
   * controlling terminal). Never run in a task that leads no session.
   */
  leading(head: Omit<PassHead, 'stage' | 'needs' | 'provides'>, emit: (program: Program) => void): void;
}

/**
 * The part of a restore plan that builds one thread. Passes of the main thread are passes of its task. The other threads
 * are made when the task's passes that provide `threads` run (stage `sigchld`, after `sigactions`); all passes of such a
 * thread run then, in the order of their stages, while the main thread waits: what they need of each other they say, what
 * belongs to the process (mappings, descriptors, signal actions, not yet limits and credentials) is there.
 */
export interface ThreadPlan {
  readonly pid: Pid;
  readonly tid: Pid;
  readonly isMain: boolean;
  /** Whether it is of the root of the tree, whose parent is crts, or who crts leaves it to. */
  readonly isRoot: boolean;
  /** An emitter that the thread before gave in the same place may not be called again: it emits the same (rememberLast()). */
  pass(head: PassHead, emit: (program: Program) => void): void;
  /**
   * Seccomp filters that a pass of this thread installs do not act before the program runs: the engine traces the thread with
   * PTRACE_O_SUSPEND_SECCOMP, which needs CAP_SYS_ADMIN.
   */
  suspendSeccomp(): void;
  /**
   * Has the task open a descriptor for a thread besides the main one, whose program takes none: before the task enters its own
   * root. Returns the number under which it is open until the program of the thread has run.
   */
  lendFd(head: Omit<PassHead, 'stage' | 'needs' | 'provides'>, open: (program: Program) => Arg): number;
  /**
   * What the thread's registers, extended state and signal mask are when it runs again. The engine sets them with
   * ptrace in the last step, when the agent is gone. Each part is set by exactly one handler.
   */
  finalThread(state: Partial<ThreadState>): void;
}

export interface HostStepContext {
  /** Number of the task as the engine sees it. */
  readonly hostPid: number;
  /** Runs a further program inside the task at once. */
  run(build: (program: Program) => void): void;
  /** The same inside another task of the tree; none runs a program of its own meanwhile. */
  runIn(pid: Pid, build: (program: Program) => void): void;
}

/** Opens the file descriptions of an image set inside a task that is being restored. */
export interface FilePlanner {
  /**
   * Emits what opens description `fileId` and returns the temporary descriptor. The caller closes it with
   * `program.call('close', ...)` or moves it. `flags` replaces the O_* flags of the entry (a mapping has its own).
   * @throws CrtsError CRTS_IMAGE_REFERENCE when the image set has no such description
   */
  open(program: Program, fileId: number, flags?: number): Arg;
  /**
   * The entry of a description, for one that refers to it.
   * @throws CrtsError CRTS_IMAGE_REFERENCE when the image set has no such description
   */
  record(fileId: number): FileRecord;
  /** The path recorded for a description that has one (regular file, directory). */
  pathOf(fileId: number): string | undefined;
}
