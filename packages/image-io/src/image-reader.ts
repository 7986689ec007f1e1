import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { errnoHint, type ImageRecord, type ImageSource } from '@crts/plugin-api';
import { type CompressedImage, compressedImages, tableOf } from './compressed-names';
import { ImageError } from './errors';
import { type ByteSource, bufferSource, type ExtraPlace, type ImageItem, readItems, readPlaces } from './image-file';
import { DEDUPLICATED, openDirectory } from './image-writer';
import { imageFileName, imageKind } from './kinds';

/** Without waiting for who writes, where somebody has put a FIFO. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Link to the set that an increment builds on. */
const PARENT = 'parent';

interface OpenFile {
  readonly fd: number;
  readonly sizeBytes: number;
}

/** Reads an image set. Files are opened relative to one directory descriptor and never through a symbolic link. */
export class ImageReader implements ImageSource {
  readonly directory: string;
  readonly #dirFd: number;
  readonly #raw = new Map<string, number>();
  #parent: ImageReader | undefined;
  #compressed: readonly CompressedImage[] | undefined;

  /** Plain contents of compressed images, by the path of the plain one; the caller owns the descriptors. */
  readonly #plain: ReadonlyMap<string, number>;

  private constructor(directory: string, dirFd: number, plain: ReadonlyMap<string, number>) {
    this.directory = directory;
    this.#dirFd = dirFd;
    this.#plain = plain;
  }

  /** @throws ImageError CRTS_IMAGES_INCOMPLETE when the directory has no inventory */
  static open(directory: string, plain: ReadonlyMap<string, number> = new Map()): ImageReader {
    const reader = new ImageReader(directory, openDirectory(directory), plain);
    if (!reader.has('inventory')) {
      reader.close();
      throw new ImageError(
        'CRTS_IMAGES_INCOMPLETE',
        'the directory holds no complete image set: inventory.img is missing',
        { file: directory },
      );
    }
    return reader;
  }

  /** A directory that need not be a complete set: where a page server stores, or has stored. */
  static openParts(directory: string): ImageReader {
    return new ImageReader(directory, openDirectory(directory), new Map());
  }

  /** The set that the link `parent` leads to; it may be a pre-dump, which is memory alone. */
  parent(): ImageReader | undefined {
    if (this.#parent !== undefined) return this.#parent;
    const path = `/proc/self/fd/${this.#dirFd}/${PARENT}`;
    try {
      const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
      this.#parent = new ImageReader(`${this.directory}/${PARENT}`, fd, this.#plain);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return undefined;
      throw new ImageError(
        'CRTS_IMAGE_MISSING',
        `the parent image set cannot be opened: ${code}`,
        {
          file: `${this.directory}/${PARENT}`,
        },
        errnoHint({ errno: code, call: 'open' }),
      );
    }
    return this.#parent;
  }

  has(kind: string, id?: number): boolean {
    const file = this.#tryOpen(imageFileName(imageKind(kind), id));
    if (file !== undefined) closeSync(file.fd);
    return file !== undefined;
  }

  ids(kind: string): number[] {
    const { pattern, radix } = imageKind(kind);
    const [before, after] = pattern.split('%') as [string, string];
    return readdirSync(`/proc/self/fd/${this.#dirFd}`)
      .filter((name) => name.startsWith(before) && name.endsWith(after))
      .map((name) => ({ name, id: Number.parseInt(name.slice(before.length), radix) }))
      .filter(({ name, id }) => name === `${before}${id.toString(radix)}${after}`)
      .map(({ id }) => id)
      .sort((a, b) => a - b);
  }

  /** Whether a later set, or a restore, has taken pages out of this one. */
  get isDeduplicated(): boolean {
    const file = this.#tryOpen(DEDUPLICATED);
    if (file !== undefined) closeSync(file.fd);
    return file !== undefined;
  }

  markDeduplicated(): void {
    const path = `/proc/self/fd/${this.#dirFd}/${DEDUPLICATED}`;
    closeSync(openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o600));
  }

  read(kind: string, id?: number): ImageRecord[] {
    return [...this.items(kind, id)].map((item) => item.value);
  }

  /** The one entry of an image that has exactly one. */
  readOne<T extends ImageRecord>(kind: string, id?: number): T {
    const entries = this.read(kind, id);
    if (entries.length !== 1) {
      const file = `${this.directory}/${imageFileName(imageKind(kind), id)}`;
      throw new ImageError('CRTS_IMAGE_FIELD', `${entries.length} entries where one belongs`, { file });
    }
    return entries[0] as T;
  }

  *items(kind: string, id?: number): Generator<ImageItem> {
    const description = imageKind(kind);
    const name = imageFileName(description, id);
    const { fd, sizeBytes } = this.#open(name);
    try {
      yield* readItems(fileSource(fd, sizeBytes), description, `${this.directory}/${name}`);
    } finally {
      closeSync(fd);
    }
  }

  /** Entries of an image whose bytes behind them stay in the file, which the reader keeps open. */
  contents(kind: string, id: number): { fd: number; entries: ExtraPlace[] } {
    const description = imageKind(kind);
    const fd = this.rawFd(kind, id);
    const file = `${this.directory}/${imageFileName(description, id)}`;
    return { fd, entries: [...readPlaces(fileSource(fd), description, file)] };
  }

  rawFd(kind: string, id: number): number {
    const name = imageFileName(imageKind(kind), id);
    const known = this.#plain.get(`${this.directory}/${name}`) ?? this.#raw.get(name);
    if (known !== undefined) return known;
    const { fd } = this.#open(name);
    this.#raw.set(name, fd);
    return fd;
  }

  rawSize(kind: string, id: number): bigint {
    const name = imageFileName(imageKind(kind), id);
    const image = this.compressed().find((one) => one.name.startsWith(`${name}.`));
    if (image === undefined || this.#plain.has(`${this.directory}/${name}`))
      return BigInt(fstatSync(this.rawFd(kind, id)).size);
    const { fd } = this.#open(image.name);
    try {
      return BigInt(tableOf(fd, `${this.directory}/${image.name}`).plainBytes);
    } finally {
      closeSync(fd);
    }
  }

  /** Path of the directory, by its descriptor. */
  get base(): string {
    return `/proc/self/fd/${this.#dirFd}`;
  }

  /** Pages images that are compressed. */
  compressed(): readonly CompressedImage[] {
    this.#compressed ??= compressedImages(readdirSync(this.base));
    return this.#compressed;
  }

  close(): void {
    for (const fd of this.#raw.values()) closeSync(fd);
    this.#raw.clear();
    this.#parent?.close();
    closeSync(this.#dirFd);
  }

  /** A regular file of the set, to be closed by the caller; undefined where there is none of the name. */
  openFile(name: string): number | undefined {
    return this.#tryOpen(name)?.fd;
  }

  #open(name: string): OpenFile {
    const file = this.#tryOpen(name);
    const other = file === undefined ? this.compressed().find((one) => one.name.startsWith(`${name}.`)) : undefined;
    if (other !== undefined)
      throw new ImageError('CRTS_IMAGES_COMPRESSED', 'the image is compressed', {
        file: `${this.directory}/${other.name}`,
      });
    if (file === undefined)
      throw new ImageError('CRTS_IMAGE_MISSING', 'the image file is missing', { file: `${this.directory}/${name}` });
    return file;
  }

  #tryOpen(name: string): OpenFile | undefined {
    let fd: number;
    try {
      fd = openSync(`/proc/self/fd/${this.#dirFd}/${name}`, READ);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return undefined;
      throw new ImageError(
        'CRTS_IMAGE_MISSING',
        `the image file cannot be opened: ${code}`,
        {
          file: `${this.directory}/${name}`,
        },
        errnoHint({ errno: code, call: 'open' }),
      );
    }
    const stat = fstatSync(fd);
    if (stat.isFile()) return { fd, sizeBytes: stat.size };
    closeSync(fd);
    throw new ImageError('CRTS_IMAGE_MISSING', 'this is no regular file', { file: `${this.directory}/${name}` });
  }
}

/** Files up to this size are read at once: one call instead of two per entry. */
const WHOLE_MAX = 4 * 1024 * 1024;

export function fileSource(fd: number, sizeBytes = fstatSync(fd).size): ByteSource {
  const read = (offset: number, length: number): Buffer => {
    const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(length, sizeBytes - offset)));
    let done = 0;
    while (done < bytes.length) {
      const count = readSync(fd, bytes, done, bytes.length - done, offset + done);
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  };
  if (sizeBytes > WHOLE_MAX) return { sizeBytes, read };
  const whole = read(0, sizeBytes);
  return bufferSource(whole);
}
