import {
  type Arg,
  type ClockShift,
  CrtsError,
  type FdFinishContext,
  type FdGroupContext,
  type FdHandler,
  type FdPlanContext,
  type FilePlanner,
  type FileRecord,
  type GroupMakers,
  type ImageItem,
  type ImageRecord,
  type LateDescription,
  type Logger,
  type Program,
  type RemappedFile,
  type RunOptions,
  type Settlement,
  type SharedObjects,
} from '@crts/plugin-api';
import type { Described } from './descriptor-uses';
import { badImage, groupIncomplete, noPluginForImage, pluginMistake } from './errors';
import { type Checked, type FileDescription, isChecked } from './file-description';
import { openInherited } from './inherit';

const AT_FDCWD = -100;

type FinishParts = Omit<FdFinishContext, keyof FdPlanContext>;

/** FASYNC, the status flag behind SIGIO. */
export const O_ASYNC = 0o20000;

/** Passed to open(2), the flag would be there without any effect; it is set when the owner is known. */
function silent(record: FileRecord): FileRecord {
  const { flags } = record.value;
  if (typeof flags !== 'number' || (flags & O_ASYNC) === 0) return record;
  return { ...record, value: { ...record.value, flags: flags & ~O_ASYNC } };
}

const NONE: readonly number[] = [];

/** Opens the file descriptions of an image set; each is validated once, before anything is made. */
export class FileOpener implements FilePlanner {
  readonly #files: ReadonlyMap<number, FileDescription>;
  readonly #handlers: readonly FdHandler[];
  readonly #context: FdPlanContext;

  constructor(
    files: ReadonlyMap<number, FileDescription>,
    handlers: readonly FdHandler[],
    options: RunOptions,
    log: Logger,
    ttys: readonly ImageRecord[],
    items: (kind: string) => readonly ImageItem[],
    shared: SharedObjects,
    remaps: ReadonlyMap<number, RemappedFile>,
    clockShift: ClockShift | undefined,
  ) {
    this.#files = files;
    // Who adds a plugin for what a built-in one restores too wants it used.
    this.#handlers = [...handlers].reverse();
    const byField = new Map<string, FileRecord[]>();
    for (const record of files.values()) {
      const known = byField.get(record.field);
      if (known === undefined) byField.set(record.field, [record]);
      else known.push(record);
    }
    const records = (field: string): readonly FileRecord[] => byField.get(field) ?? [];
    this.#context = {
      files: this,
      records,
      options,
      log,
      ttys,
      items,
      shared,
      clockShift,
      remapOf: (id) => remaps.get(id),
      openFile: (program, { id, name, ext }, flags, call) => {
        if (ext === true) return openInherited(program, name, flags, options);
        const remap = remaps.get(id);
        if (remap !== undefined) return remap.open(program, flags, call);
        return program.call('openat', [AT_FDCWD, program.cstring(name), flags, 0], call);
      },
    };
  }

  open(program: Program, fileId: number, flags?: number): Arg {
    const file = this.check(fileId);
    const opened = flags === undefined ? silent(file) : { ...file, value: { ...file.value, flags } };
    return this.#planned(file.handler, opened, program);
  }

  /** What handlers of groups are given in a task. */
  groupContext(owner: Omit<FdGroupContext, keyof FdPlanContext>): FdGroupContext {
    return { ...this.#context, ...owner };
  }

  /** What other tasks do before a group is opened; nothing for most. */
  makersOf(files: readonly Checked[], context: FdGroupContext): GroupMakers | undefined {
    const { handler } = files[0]!;
    if (handler.planMakers === undefined) return undefined;
    const records = files.map(silent);
    return handler.planMakers(records, context);
  }

  /** Emits what opens all of a group at once; descriptors in their order. */
  openGroup(program: Program, files: readonly Checked[], context: FdGroupContext): readonly Arg[] {
    const { handler } = files[0]!;
    if (handler.planGroup === undefined) return files.map((file) => this.#planned(handler, silent(file), program));
    const records = files.map(silent);
    const opened = handler.planGroup(records, program, context);
    if (opened.length !== files.length) throw groupIncomplete(handler.name, files.length, opened.length);
    return opened;
  }

  #planned(handler: FdHandler, record: FileRecord, program: Program): Arg {
    const fd = handler.plan(record, program, this.#context);
    if (fd === undefined) throw pluginMistake(handler.name, 'plan() returned no descriptor');
    return fd;
  }

  /** Key of the descriptions that must be opened together with this one; undefined where it is alone. */
  groupOf(file: Checked): string | undefined {
    return file.handler.group?.(file, this.#context);
  }

  /** Pid of the task that should open a group, if it matters. */
  preferredTask(files: readonly Checked[]): number | undefined {
    const { handler } = files[0]!;
    if (handler.opener === undefined) return undefined;
    return handler.opener(files, this.#context);
  }

  /** What is opened only when all threads are there. */
  late(file: Checked): LateDescription | undefined {
    return file.handler.late?.(file, this.#context);
  }

  /** Descriptions in flight in this one. */
  inFlightIn(file: Checked): readonly number[] {
    return file.handler.inFlight?.(file, this.#context) ?? NONE;
  }

  /** Emits what waits until all descriptors of the task are in place; nothing for most kinds. */
  finisher(file: Checked): ((program: Program, fd: Arg, of: FinishParts) => void) | undefined {
    const { handler } = file;
    if (handler.finish === undefined) return undefined;
    return (program, fd, of) => handler.finish?.(file, fd, program, { ...this.#context, ...of });
  }

  /** What waits for the end of the restore; nothing for most kinds. */
  settlement(file: Checked): Settlement | undefined {
    return file.handler.settle?.(file, this.#context);
  }

  /** The highest number that handlers use for a moment while these descriptions are made. */
  scratchTop(uses: readonly { readonly id: number }[]): number {
    return uses.reduce((highest, { id }) => {
      const file = this.check(id);
      return Math.max(highest, file.handler.highestNumber?.(file) ?? -1);
    }, -1);
  }

  record(fileId: number): FileRecord {
    return this.check(fileId);
  }

  pathOf(fileId: number): string | undefined {
    const name = this.#files.get(fileId)?.value.name;
    return typeof name === 'string' ? name : undefined;
  }

  /** Finds the handler and lets it validate the entry, once. */
  check(fileId: number): Checked {
    const file = this.#files.get(fileId);
    if (file === undefined) throw badImage('CRTS_IMAGE_REFERENCE', 'files.img', `there is no file ${fileId}`);
    if (isChecked(file)) return file;
    const handler = this.#handlers.find((candidate) => candidate.owns(file));
    if (handler === undefined) throw noPluginForImage(`file ${fileId} of kind "${file.field}"`, pluginOf(file));
    file.handler = handler;
    try {
      handler.collect?.(file, this.#context);
    } catch (error) {
      file.handler = undefined;
      throw error instanceof CrtsError ? error.with({ plugin: handler.name, stage: 'restore' }) : error;
    }
    return file as Checked;
  }

  /** Who has a description; undefined where nobody does. */
  described(fileId: number): Described | undefined {
    return this.#files.get(fileId)?.described;
  }
}

/** Name of an npm package as an image has it; nothing else is shown as a command. */
const PACKAGE_NAME = /^(@[a-z0-9-][a-z0-9._-]*\/)?[a-z0-9-][a-z0-9._-]*$/;

function pluginOf({ value }: FileRecord): string | undefined {
  const { crts_plugin: plugin } = value;
  return typeof plugin === 'string' && PACKAGE_NAME.test(plugin) ? plugin : undefined;
}
