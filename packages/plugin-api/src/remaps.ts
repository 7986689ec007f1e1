import type { FileId } from './brands';
import type { FdFacts } from './facts';
import type { FileRecord, FrozenTask, ImageRecord, Logger, TreeImages } from './handlers';
import type { ImageSink } from './image-access';
import type { Arg, CallOptions, Program } from './program';
import type { RunOptions } from './run-options';

/** `remap_type` of the format. */
export const REMAP_TYPE = { linked: 0, ghost: 1, procfs: 2 } as const;

/** `remap_file_path_entry`: description `orig_id` comes back by way of `remap_id`, whose meaning depends on the type. */
export interface RemapEntry {
  readonly orig_id: FileId;
  readonly remap_id: number;
  readonly remap_type: number;
}

/** An open file and where the name leads that it was opened by. */
export interface NamedFile {
  readonly facts: FdFacts;
  /** The name without the kernel's " (deleted)". */
  readonly name: string;
  /** The kernel says that this name was removed. */
  readonly isDeleted: boolean;
  /** Where the name leads now: to this file, to another one, or nowhere. */
  readonly leads: 'here' | 'elsewhere' | 'nowhere';
  /** Why it leads nowhere, `ENOENT`. */
  readonly errno?: string | undefined;
}

/** Something that outlives the dump (a name in a directory), with its undo. */
export interface Effect {
  readonly what: string;
  make(): void;
  undo(): void;
}

export interface RemapDumpContext extends TreeImages {
  readonly task: FrozenTask;
  readonly options: RunOptions;
  readonly log: Logger;
  /** Id of the description. */
  readonly id: FileId;
  readonly sink: ImageSink;
  /** Adds a further entry to files.img and returns its id. */
  addRecord(make: (id: FileId) => FileRecord): FileId;
  /** What the process is: in the dump, dead or alive; a living stranger; or dead (a zombie, or gone) and not dumped. */
  fateOf(pid: number): 'dumped' | 'alive' | 'dead';
  /**
   * Made when all images are written and before they get their names; undone when the dump fails after that. Not made when
   * the program goes on: it has its files itself.
   */
  addEffect(effect: Effect): void;
}

export interface RemapDump {
  /** Name for the entry of the file. */
  readonly name: string;
  /** Entry of remap-fpath.img; absent where this description needs none. */
  readonly remap?: { readonly id: number; readonly type: number } | undefined;
}

/** An image with bytes behind its entries, which stay in the file. */
export interface ImageContents {
  /** Open for reading; the engine closes it when the restore ends. */
  readonly fd: number;
  /** Bytes `offset` to `offset + sizeBytes` follow the entry, and lie in the file. */
  readonly entries: readonly { readonly value: ImageRecord; readonly offset: number; readonly sizeBytes: number }[];
}

export interface RemapPlanContext {
  readonly options: RunOptions;
  readonly log: Logger;
  /** Entry of files.img. */
  record(id: FileId): FileRecord | undefined;
  /** @throws CrtsError CRTS_IMAGE_MISSING */
  image(kind: string, id: number): ImageContents;
  /** Whether the images have a process or thread of this pid. */
  hasTask(pid: number): boolean;
  /** A process of this pid lives until every file is open, and is never seen by the tree. */
  addHelper(pid: number): void;
  /**
   * Done by the engine before any process exists. `undo` runs when the restore failed after that, and `done` when the tree
   * is complete; `close` in any case, at the end.
   */
  prepare(step: { readonly what: string; make(): void; undo?(): void; done?(): void; close?(): void }): void;
}

/** A file that comes back by a remap. */
export interface RemappedFile {
  /** The name whose type, mode, size and build id must be those of the dump; absent: there is nothing to compare. */
  readonly checkName?: string | undefined;
  /** What it was at the dump: device (major << 20 | minor) and inode. Who watched it finds it by them. */
  readonly was?: { readonly device: number; readonly ino: bigint } | undefined;
  /** A path that leads crts itself to the file, whatever its names are; good from before the tasks to the end of the restore. */
  reach?(): string | undefined;
  /** Emits what opens it with these O_* flags. */
  open(program: Program, flags: number, options: CallOptions): Arg;
}

/** How files come back that cannot be reopened by their path. Plugins of descriptors ask for it with `context.nameOf`. */
export interface RemapHandler {
  readonly name: string;
  /** How well it fits; 0 not at all. Asked for every file with a name, also for those that their name leads to. */
  match(file: NamedFile, context: Pick<RemapDumpContext, 'fateOf'>): number;
  dump(file: NamedFile, context: RemapDumpContext): RemapDump;
  owns(entry: RemapEntry): boolean;
  /** Validates all entries that it owns, and says for each `orig_id` how it is opened. Nothing is done yet. */
  plan(entries: readonly RemapEntry[], context: RemapPlanContext): ReadonlyMap<FileId, RemappedFile>;
}
