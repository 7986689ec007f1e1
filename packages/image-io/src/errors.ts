import { CrtsError } from '@crts/plugin-api';

export type ImageErrorCode =
  | 'CRTS_IMAGE_TRUNCATED'
  | 'CRTS_IMAGE_MAGIC'
  | 'CRTS_IMAGE_LENGTH'
  | 'CRTS_IMAGE_WIRE'
  | 'CRTS_IMAGE_FIELD'
  | 'CRTS_IMAGE_MISSING'
  | 'CRTS_IMAGE_REFERENCE'
  | 'CRTS_IMAGE_FRAMES'
  | 'CRTS_IMAGES_COMPRESSED'
  | 'CRTS_IMAGES_INCOMPLETE';

/** Where in an image something is wrong. */
export interface ImagePlace {
  readonly file?: string | undefined;
  /** Bytes from the start of the file. */
  readonly offset?: number | undefined;
  /** Index of the entry in the file. */
  readonly entry?: number | undefined;
  /** Path of the field, `core_entry.thread_info.gpregs`. */
  readonly field?: string | undefined;
}

const DAMAGED =
  'The image set is damaged, or mixed from several dumps: copy it again from where it was made, or dump again.';

const HINTS: Partial<Record<ImageErrorCode, string>> = {
  CRTS_IMAGE_TRUNCATED:
    'The file ends too early: the disk was full, or it was not copied whole. Dump again or copy it again.',
  CRTS_IMAGE_MAGIC: 'The file is of another kind, damaged, or was made by a newer version.',
  CRTS_IMAGE_MISSING: 'The image set lacks this file: copy the whole directory.',
  CRTS_IMAGE_FIELD: DAMAGED,
  CRTS_IMAGE_LENGTH: DAMAGED,
  CRTS_IMAGE_REFERENCE: DAMAGED,
  CRTS_IMAGE_WIRE: DAMAGED,
  CRTS_IMAGE_FRAMES: 'Copy the file again from where it was made.',
  CRTS_IMAGES_COMPRESSED: 'Make it plain: crts decompress -D DIR.',
  CRTS_IMAGES_INCOMPLETE: 'inventory.img is written last: without it the dump did not finish. Dump again.',
};

/** Something is wrong with an image file. Images are untrusted: this is never an assertion. */
export class ImageError extends CrtsError {
  readonly place: ImagePlace;

  constructor(code: ImageErrorCode, what: string, place: ImagePlace = {}, hint?: string) {
    const where = [
      place.entry === undefined ? '' : `entry ${place.entry}`,
      place.offset === undefined ? '' : `offset ${place.offset}`,
      place.field ?? '',
    ].filter(Boolean);
    super({
      code,
      what: where.length === 0 ? what : `${where.join(', ')}: ${what}`,
      path: place.file,
      hint: hint ?? HINTS[code],
    });
    this.place = place;
  }

  /** The same error with what the caller knows of the place. */
  at(more: ImagePlace): ImageError {
    const offset = (more.offset ?? 0) + (this.place.offset ?? 0);
    const what = this.what
      .replace(/^(entry \d+)?(, )?(offset \d+)?(, )?/, '')
      .replace(`${this.place.field ?? ' '}: `, '');
    return new ImageError(this.code as ImageErrorCode, what, { ...more, ...this.place, offset }, this.hint);
  }
}
