import {
  type Arg,
  CrtsError,
  type FdHandler,
  type FdPlanContext,
  type FilePlanner,
  type FileRecord,
  type ImageRecord,
  type Logger,
  type Program,
  type RunOptions,
} from '@crts/plugin-api';
import { badImage, noPluginForImage } from './errors';

/** Opens the file descriptions of an image set; each is validated once, before anything is made. */
export class FileOpener implements FilePlanner {
  readonly #files: ReadonlyMap<number, FileRecord>;
  readonly #handlers: readonly FdHandler[];
  readonly #context: FdPlanContext;
  readonly #checked = new Set<number>();

  constructor(
    files: ReadonlyMap<number, FileRecord>,
    handlers: readonly FdHandler[],
    options: RunOptions,
    log: Logger,
    ttys: readonly ImageRecord[],
  ) {
    this.#files = files;
    this.#handlers = handlers;
    this.#context = { files: this, options, log, ttys };
  }

  open(program: Program, fileId: number, flags?: number): Arg {
    const { record, handler } = this.check(fileId);
    const opened = flags === undefined ? record : { ...record, value: { ...record.value, flags } };
    return handler.plan(opened, program, this.#context);
  }

  pathOf(fileId: number): string | undefined {
    const name = this.#files.get(fileId)?.value.name;
    return typeof name === 'string' ? name : undefined;
  }

  /** Finds the handler and lets it validate the entry. */
  check(fileId: number): { record: FileRecord; handler: FdHandler } {
    const record = this.#files.get(fileId);
    if (record === undefined) throw badImage('CRTS_IMAGE_REFERENCE', 'files.img', `there is no file ${fileId}`);
    const handler = this.#handlers.find((candidate) => candidate.owns(record));
    if (handler === undefined) throw noPluginForImage(`file ${fileId} of kind "${record.field}"`);
    if (!this.#checked.has(fileId)) {
      try {
        handler.collect?.(record, this.#context);
      } catch (error) {
        throw error instanceof CrtsError ? error.with({ plugin: handler.name, stage: 'restore' }) : error;
      }
      this.#checked.add(fileId);
    }
    return { record, handler };
  }
}
