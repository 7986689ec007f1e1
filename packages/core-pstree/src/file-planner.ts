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
import { badImage, groupIncomplete, noPluginForImage } from './errors';
import { openInherited } from './inherit';

const AT_FDCWD = -100;

type GroupOwner = Omit<FdGroupContext, keyof FdPlanContext>;
type FinishParts = Omit<FdFinishContext, keyof FdPlanContext>;

/** FASYNC, the status flag behind SIGIO. */
export const O_ASYNC = 0o20000;

/** Passed to open(2), the flag would be there without any effect; it is set when the owner is known. */
function silent(record: FileRecord): FileRecord {
  const { flags } = record.value;
  if (typeof flags !== 'number' || (flags & O_ASYNC) === 0) return record;
  return { ...record, value: { ...record.value, flags: flags & ~O_ASYNC } };
}

interface Checked {
  readonly record: FileRecord;
  readonly handler: FdHandler;
}

/** Opens the file descriptions of an image set; each is validated once, before anything is made. */
export class FileOpener implements FilePlanner {
  readonly #files: ReadonlyMap<number, FileRecord>;
  readonly #handlers: readonly FdHandler[];
  readonly #context: FdPlanContext;
  readonly #checked = new Map<number, Checked>();

  constructor(
    files: ReadonlyMap<number, FileRecord>,
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
    const { record, handler } = this.check(fileId);
    const opened = flags === undefined ? silent(record) : { ...record, value: { ...record.value, flags } };
    return handler.plan(opened, program, this.#context);
  }

  /** What other tasks do before a group is opened; nothing for most. */
  makersOf(fileIds: readonly number[], owner: GroupOwner): GroupMakers | undefined {
    const checked = fileIds.map((id) => this.check(id));
    const records = checked.map(({ record }) => silent(record));
    return checked[0]!.handler.planMakers?.(records, { ...this.#context, ...owner });
  }

  /** Emits what opens all of a group at once; descriptors in the order of `fileIds`. */
  openGroup(program: Program, fileIds: readonly number[], owner: GroupOwner): readonly Arg[] {
    const checked = fileIds.map((id) => this.check(id));
    const { handler } = checked[0]!;
    if (handler.planGroup === undefined) return fileIds.map((id) => this.open(program, id));
    const opened = handler.planGroup(
      checked.map(({ record }) => silent(record)),
      program,
      { ...this.#context, ...owner },
    );
    if (opened.length !== fileIds.length) throw groupIncomplete(handler.name, fileIds.length, opened.length);
    return opened;
  }

  /** Key of the descriptions that must be opened together with this one. */
  groupOf(fileId: number): string {
    const { record, handler } = this.check(fileId);
    return handler.group?.(record, this.#context) ?? `file ${fileId}`;
  }

  /** Pid of the task that should open a group, if it matters. */
  preferredTask(fileIds: readonly number[]): number | undefined {
    const checked = fileIds.map((id) => this.check(id));
    const records = checked.map(({ record }) => record);
    return checked[0]!.handler.opener?.(records, this.#context);
  }

  /** What is opened only when all threads are there. */
  late(fileId: number): LateDescription | undefined {
    const { record, handler } = this.check(fileId);
    return handler.late?.(record, this.#context);
  }

  /** Descriptions in flight in this one. */
  inFlightIn(fileId: number): readonly number[] {
    const { record, handler } = this.check(fileId);
    return handler.inFlight?.(record, this.#context) ?? [];
  }

  /** Emits what waits until all descriptors of the task are in place; nothing for most kinds. */
  finisher(fileId: number): ((program: Program, fd: Arg, of: FinishParts) => void) | undefined {
    const { record, handler } = this.check(fileId);
    if (handler.finish === undefined) return undefined;
    return (program, fd, of) => handler.finish?.(record, fd, program, { ...this.#context, ...of });
  }

  /** What waits for the end of the restore; nothing for most kinds. */
  settlement(fileId: number): Settlement | undefined {
    const { record, handler } = this.check(fileId);
    return handler.settle?.(record, this.#context);
  }

  /** The highest number that handlers use for a moment while these descriptions are made. */
  scratchTop(uses: readonly { readonly id: number }[]): number {
    return uses.reduce((highest, { id }) => {
      const { record, handler } = this.check(id);
      return Math.max(highest, handler.highestNumber?.(record) ?? -1);
    }, -1);
  }

  record(fileId: number): FileRecord {
    return this.check(fileId).record;
  }

  pathOf(fileId: number): string | undefined {
    const name = this.#files.get(fileId)?.value.name;
    return typeof name === 'string' ? name : undefined;
  }

  /** Finds the handler and lets it validate the entry, once. */
  check(fileId: number): Checked {
    const known = this.#checked.get(fileId);
    if (known !== undefined) return known;
    const record = this.#files.get(fileId);
    if (record === undefined) throw badImage('CRTS_IMAGE_REFERENCE', 'files.img', `there is no file ${fileId}`);
    const handler = this.#handlers.find((candidate) => candidate.owns(record));
    if (handler === undefined) throw noPluginForImage(`file ${fileId} of kind "${record.field}"`, pluginOf(record));
    const checked = { record, handler };
    this.#checked.set(fileId, checked);
    try {
      handler.collect?.(record, this.#context);
    } catch (error) {
      this.#checked.delete(fileId);
      throw error instanceof CrtsError ? error.with({ plugin: handler.name, stage: 'restore' }) : error;
    }
    return checked;
  }
}

/** Name of an npm package as an image has it; nothing else is shown as a command. */
const PACKAGE_NAME = /^(@[a-z0-9-][a-z0-9._-]*\/)?[a-z0-9-][a-z0-9._-]*$/;

function pluginOf({ value }: FileRecord): string | undefined {
  const { crts_plugin: plugin } = value;
  return typeof plugin === 'string' && PACKAGE_NAME.test(plugin) ? plugin : undefined;
}
