/**
 * Pages images of a set, compressed and back. A dump writes them plain, so that the program stands still no longer than without;
 * they are compressed when the set is complete, and at every moment each is there, plain or compressed, whole.
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type Codec, loadCodec } from './codecs';
import { type CodecName, type CompressedImage, compressedImages, readAt, SUFFIXES, tableOf } from './compressed-names';
import { ImageError } from './errors';
import { ImageReader } from './image-reader';
import { TEMPORARY } from './image-writer';
import { encodeSeekTable, FRAME_BYTES, type Frame, type SeekTable } from './seek-table';

const CREATE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
/** man 2 open: a file without a name, in this directory. */
const O_TMPFILE = 0o20200000;
/** Sets that build on each other. */
const CHAIN_MAX = 128;
/** Frames at work at once: memory is bounded by it. The libraries use libuv's threads. */
const atOnce = () => 2 * availableParallelism();

export interface Compression {
  readonly codec: CodecName;
  readonly level?: number | undefined;
}

export interface CompressedBytes {
  readonly plainBytes: number;
  readonly compressedBytes: number;
}

/** Compresses all pages images of the set that are plain. */
export async function compressImages(
  directory: string,
  { codec: name, level }: Compression,
  sync: boolean,
): Promise<CompressedBytes> {
  const codec = loadCodec(name);
  const reader = ImageReader.open(directory);
  let plainBytes = 0;
  let compressedBytes = 0;
  try {
    for (const id of reader.ids('pages')) {
      const plain = reader.rawFd('pages', id);
      const { size } = fstatSync(plain);
      if (size === 0) continue;
      const image = `pages-${id}.img`;
      compressedBytes += await replace(reader.base, image, image + SUFFIXES[name], sync, (to) =>
        compressFile(codec, level, { fd: plain, size }, to),
      );
      plainBytes += size;
    }
  } finally {
    reader.close();
  }
  return { plainBytes, compressedBytes };
}

/** Makes the compressed pages images of a set plain again, as CRIU reads them. */
export async function decompressImages(directory: string, sync: boolean): Promise<CompressedBytes> {
  const reader = ImageReader.open(directory);
  let plainBytes = 0;
  let compressedBytes = 0;
  try {
    for (const image of reader.compressed()) {
      const file = CompressedFile.open(reader, image);
      try {
        await replace(reader.base, image.name, `pages-${image.id}.img`, sync, async (to) => {
          await file.writeTo(to);
          return file.table.plainBytes;
        });
        plainBytes += file.table.plainBytes;
        compressedBytes += fstatSync(file.fd).size;
      } finally {
        file.close();
      }
    }
  } finally {
    reader.close();
  }
  return { plainBytes, compressedBytes };
}

/** Whether any pages image of the set, or of one that it builds on, is compressed. */
export function isCompressed(directory: string): boolean {
  let at = directory;
  for (let depth = 0; depth <= CHAIN_MAX; depth++, at = join(at, 'parent')) {
    let names: string[];
    try {
      names = readdirSync(at);
    } catch {
      // Who opens the set says what is wrong with it.
      return false;
    }
    if (compressedImages(names).length > 0) return true;
  }
  return false;
}

/** Plain contents of the compressed pages images of a set and of those that it builds on, for a reader of the set. */
export interface PlainPages {
  /** Descriptors by the path of the plain image. */
  readonly files: ReadonlyMap<string, number>;
  /**
   * Where contents come when they are asked for: puts those of a part into the file of this descriptor. Undefined where all are there.
   * @throws ImageError CRTS_IMAGE_FRAMES
   */
  readonly fill?: (fd: number, offset: bigint, lengthBytes: bigint) => void;
  close(): void;
}

/**
 * Decompresses them into files without a name beside the images, or in memory where the directory takes none. The room is given
 * back when the last descriptor is closed.
 */
export async function openPlainPages(directory: string, temporary: () => number): Promise<PlainPages> {
  const files = new Map<string, number>();
  const close = () => closeAll(files);
  try {
    await eachCompressed(directory, async (set, image) => {
      const file = CompressedFile.open(set, image);
      try {
        const fd = unnamed(set.base) ?? temporary();
        files.set(plainPath(set, image), fd);
        await file.writeTo(fd);
      } finally {
        file.close();
      }
    });
    return { files, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** The same where little of it may be needed: files have their size, and hold what was asked for. */
export async function openPlainPagesLate(directory: string, temporary: () => number): Promise<PlainPages> {
  const files = new Map<string, number>();
  const sources = new Map<number, LateFile>();
  const close = () => {
    for (const { file } of sources.values()) file.close();
    sources.clear();
    closeAll(files);
  };
  try {
    await eachCompressed(directory, (set, image) => {
      const file = CompressedFile.open(set, image);
      const fd = unnamed(set.base) ?? temporary();
      files.set(plainPath(set, image), fd);
      sources.set(fd, new LateFile(file, fd));
      ftruncateSync(fd, file.table.plainBytes);
    });
    return { files, close, fill: (fd, offset, length) => sources.get(fd)?.fill(Number(offset), Number(length)) };
  } catch (error) {
    close();
    throw error;
  }
}

/** Frames are decompressed when they are asked for, once. */
class LateFile {
  readonly #done: Uint8Array;

  constructor(
    readonly file: CompressedFile,
    readonly fd: number,
  ) {
    this.#done = new Uint8Array(file.table.frames.length);
  }

  fill(offset: number, length: number): void {
    const end = Math.min(Math.ceil((offset + length) / FRAME_BYTES), this.#done.length);
    for (let index = Math.floor(offset / FRAME_BYTES); index < end; index++) {
      if (this.#done[index] === 1) continue;
      this.file.writeFrame(index, this.fd);
      this.#done[index] = 1;
    }
  }
}

async function eachCompressed(
  directory: string,
  visit: (set: ImageReader, image: CompressedImage) => void | Promise<void>,
): Promise<void> {
  const reader = ImageReader.open(directory);
  try {
    let depth = 0;
    for (let set: ImageReader | undefined = reader; set !== undefined && depth <= CHAIN_MAX; set = set.parent()) {
      for (const image of set.compressed()) await visit(set, image);
      depth += 1;
    }
  } finally {
    reader.close();
  }
}

function plainPath({ directory }: ImageReader, { id }: CompressedImage): string {
  return `${directory}/pages-${id}.img`;
}

function closeAll(files: Map<string, number>): void {
  for (const fd of files.values()) closeSync(fd);
  files.clear();
}

function unnamed(base: string): number | undefined {
  try {
    return openSync(base, constants.O_RDWR | O_TMPFILE, 0o600);
  } catch {
    return undefined;
  }
}

/** A compressed pages image: any part of it costs the frames that it lies in. */
export class CompressedFile {
  private constructor(
    readonly fd: number,
    readonly file: string,
    readonly table: SeekTable,
    readonly codec: Codec,
  ) {}

  static open(reader: ImageReader, { name, codec }: CompressedImage): CompressedFile {
    const file = `${reader.directory}/${name}`;
    const fd = reader.openFile(name);
    if (fd === undefined) throw new ImageError('CRTS_IMAGE_MISSING', 'the image file is missing', { file });
    try {
      return new CompressedFile(fd, file, tableOf(fd, file), loadCodec(codec));
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Plain bytes; less than asked only at the end. */
  async read(offset: number, length: number): Promise<Buffer> {
    const end = Math.min(offset + length, this.table.plainBytes);
    if (end <= offset) return Buffer.alloc(0);
    const frames = this.table.frames.slice(Math.floor(offset / FRAME_BYTES), Math.ceil(end / FRAME_BYTES));
    const plain = Buffer.concat(await Promise.all(frames.map((frame) => this.#frame(frame))));
    const from = offset - frames[0]!.plainOffset;
    return plain.subarray(from, from + end - offset);
  }

  /** All of it, frames side by side. */
  async writeTo(fd: number): Promise<void> {
    await sideBySide(this.table.frames, async (frame) => writeAt(fd, await this.#frame(frame), frame.plainOffset));
  }

  writeFrame(index: number, fd: number): void {
    const frame = this.table.frames[index]!;
    let plain: Buffer;
    try {
      plain = this.codec.decompressSync(readAt(this.fd, frame.offset, frame.sizeBytes), frame.plainBytes);
    } catch (error) {
      throw this.#bad(frame, (error as Error).message);
    }
    writeAt(fd, this.#checked(frame, plain), frame.plainOffset);
  }

  close(): void {
    closeSync(this.fd);
  }

  async #frame(frame: Frame): Promise<Buffer> {
    let plain: Buffer;
    try {
      plain = await this.codec.decompress(readAt(this.fd, frame.offset, frame.sizeBytes), frame.plainBytes);
    } catch (error) {
      throw this.#bad(frame, (error as Error).message);
    }
    return this.#checked(frame, plain);
  }

  #checked(frame: Frame, plain: Buffer): Buffer {
    if (plain.length !== frame.plainBytes)
      throw this.#bad(frame, `it holds ${plain.length} bytes, not ${frame.plainBytes}`);
    return plain;
  }

  #bad({ offset }: Frame, what: string): ImageError {
    return new ImageError('CRTS_IMAGE_FRAMES', `the frame cannot be decompressed: ${what}`, {
      file: this.file,
      offset,
    });
  }
}

function writeAt(fd: number, bytes: Buffer, offset: number): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
}

/** Returns the size. Frames are compressed side by side and written in their order. */
async function compressFile(
  codec: Codec,
  level: number | undefined,
  from: { readonly fd: number; readonly size: number },
  to: number,
): Promise<number> {
  const sizes: { sizeBytes: number; plainBytes: number }[] = [];
  const append = (bytes: Buffer) => {
    for (let done = 0; done < bytes.length; ) done += writeSync(to, bytes, done);
  };
  const pending: Promise<{ frame: Buffer; plainBytes: number }>[] = [];
  const width = atOnce();
  const settle = async () => {
    const { frame, plainBytes } = await pending.shift()!;
    append(frame);
    sizes.push({ sizeBytes: frame.length, plainBytes });
  };
  try {
    for (let at = 0; at < from.size; at += FRAME_BYTES) {
      const plain = readAt(from.fd, at, Math.min(FRAME_BYTES, from.size - at));
      pending.push(codec.compress(plain, level).then((frame) => ({ frame, plainBytes: plain.length })));
      if (pending.length >= width) await settle();
    }
    while (pending.length > 0) await settle();
  } finally {
    await Promise.allSettled(pending);
  }
  append(encodeSeekTable(sizes));
  return fstatSync(to).size;
}

/** Nothing is at work any more when it returns or throws: descriptors may be closed then. */
async function sideBySide<T>(items: readonly T[], action: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      try {
        await action(items[next++]!);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce() }, worker));
  if (failures.length > 0) throw failures[0];
}

/** Writes `next` under a temporary name, names it, and only then takes `old` away. */
async function replace(
  base: string,
  old: string,
  next: string,
  sync: boolean,
  write: (fd: number) => Promise<number>,
): Promise<number> {
  const temporary = `${base}/${TEMPORARY}${next}`;
  let fd: number | undefined;
  try {
    fd = create(temporary);
    const size = await write(fd);
    if (sync) fsyncSync(fd);
    renameSync(temporary, `${base}/${next}`);
    unlinkSync(`${base}/${old}`);
    return size;
  } catch (error) {
    if (fd !== undefined) unlinkIfThere(temporary);
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof ImageError || code === undefined || code.startsWith('CRTS_')) throw error;
    throw new ImageError('CRTS_IMAGE_FRAMES', `it cannot be written: ${code}`, { file: next });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function create(path: string): number {
  try {
    return openSync(path, CREATE, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    // Left by a crts that was killed.
    unlinkSync(path);
    return openSync(path, CREATE, 0o600);
  }
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It has its name by now, or is gone.
  }
}
