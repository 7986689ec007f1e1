import type { FdHandler, FileRecord, ImageRecord } from '@crts/plugin-api';
import type { Described } from './descriptor-uses';

/** A file description of the images, and what the engine finds out of it: one object, since a tree may have a hundred thousand. */
export class FileDescription implements FileRecord {
  /** Who restores it, once that handler has validated it. */
  handler: FdHandler | undefined;
  /** Who has it, once that was looked for. */
  described: Described | undefined;

  constructor(
    readonly id: number,
    readonly type: number,
    readonly field: string,
    readonly value: ImageRecord,
  ) {}
}

export type Checked = FileDescription & { readonly handler: FdHandler };

export function isChecked(file: FileDescription): file is Checked {
  return file.handler !== undefined;
}
