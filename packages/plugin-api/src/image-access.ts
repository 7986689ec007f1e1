import type { ImageRecord } from './handlers';

/** Where images are written. image-io's writer fits it. */
export interface ImageSink {
  /** Writes a whole image of framed entries, `write('pagemap', 12, [head, entry, ...])`. `id` is absent for global images. */
  write(kind: string, id: number | undefined, entries: readonly ImageRecord[]): void;
  /** A descriptor, open for writing, of a raw image (`pages`). The writer owns it. */
  rawFd(kind: string, id: number): number;
}

/** Where images are read. image-io's reader fits it. */
export interface ImageSource {
  read(kind: string, id: number | undefined): ImageRecord[];
  /** A descriptor, open for reading, of a raw image. The reader owns it. */
  rawFd(kind: string, id: number): number;
  /** Bytes that `rawFd` would give: known also of an image that is compressed. */
  rawSize(kind: string, id: number): bigint;
  /** Whether there is such an image. */
  has(kind: string, id?: number): boolean;
  /** Ids of the images of a kind, ascending. */
  ids(kind: string): readonly number[];
  /** The set that this one is an increment on; the reader owns it. */
  parent(): ImageSource | undefined;
  /** From here on the set is not all there: a restore of it alone is refused. */
  markDeduplicated(): void;
}
