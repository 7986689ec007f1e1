import { closeSync, constants, fsyncSync, openSync, readdirSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { CrtsError, errnoHint, type ImageRecord, type ImageSink } from '@crts/plugin-api';
import { SUFFIXES } from './compressed-names';
import { encodeImage, type ImageItem } from './image-file';
import { imageFileName, imageKind } from './kinds';
import { WireWriter } from './wire';

// Read as well: memory that is mapped to be written must be (mmap(2), EACCES), and the engine maps pages images.
const CREATE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
export const TEMPORARY = '.crts-part-';
/** Says that pages were punched out of a set: an empty file, which CRIU does not look at. */
export const DEDUPLICATED = 'crts-deduplicated';
const CHECKSUMS = 'crts-checksums';
const INVENTORY = 'inventory.img';

/**
 * Opens files in a directory, perhaps while the caller goes on: their descriptors, close-on-exec, or a function that waits for them; negative
 * of one that could not be opened.
 */
export type OpenAll = (
  directory: number,
  names: readonly string[],
  flags: number,
  mode: number,
) => readonly number[] | (() => readonly number[]);

/**
 * Writes an image set. The inventory gets its name last, in commit(): a directory without inventory holds no complete set. Where
 * one is there, of an older set, all files have temporary names until then; else each has its own from the beginning, where it is
 * free (a rename takes ext4 40 us, and a tree of a thousand tasks has five thousand files). Everything is relative to one directory descriptor.
 */
export class ImageWriter implements ImageSink {
  readonly directory: string;
  readonly #dirFd: number;
  readonly #base: string;
  /** Final names with their descriptors, in the order of their making. */
  readonly #files = new Map<string, number>();
  readonly #prepared = new Map<string, number>();
  /** Waits for those that are being opened. */
  #opening: (() => void) | undefined;
  /** Those that have their own names already. */
  readonly #named = new Set<string>();
  /** What was in the directory before: removing what is not there would take V8 50 us for each error. */
  readonly #older: ReadonlySet<string>;
  /** Files that are complete. They are closed in the end, when no tree waits any more. */
  readonly #done: number[] = [];
  readonly #writer = new WireWriter();

  private constructor(directory: string, dirFd: number) {
    this.directory = directory;
    this.#dirFd = dirFd;
    // Node has no openat(2); this path is relative to the descriptor whatever happens to the directory's name.
    this.#base = `/proc/self/fd/${dirFd}`;
    this.#older = new Set(readdirSync(this.#base));
  }

  static open(directory: string): ImageWriter {
    return new ImageWriter(directory, openDirectory(directory));
  }

  /**
   * Opens files ahead of time, so that writing them later costs less while a tree is frozen. Those that are never
   * written are removed in the end.
   */
  prepare(files: readonly (readonly [kind: string, id: number | undefined])[], openAll?: OpenAll): void {
    const names = files.map(([kind, id]) => imageFileName(imageKind(kind), id));
    const rest = () => {
      for (const name of names) if (!this.#prepared.has(name)) this.#prepared.set(name, this.#open(name));
    };
    if (openAll === undefined || this.#older.has(INVENTORY)) {
      rest();
      return;
    }
    const own = names.filter((name) => name !== INVENTORY);
    const opened = openAll(this.#dirFd, own, CREATE, 0o600);
    // Those that cannot be opened so, are opened one by one, which tells why.
    this.#opening = () => {
      this.#take(own, typeof opened === 'function' ? opened() : opened);
      rest();
    };
    if (typeof opened !== 'function') this.#settle();
  }

  /** What is to be looked for among the prepared files is there, or cannot be. */
  #settle(): void {
    const opening = this.#opening;
    this.#opening = undefined;
    opening?.();
  }

  #take(names: readonly string[], fds: readonly number[]): void {
    for (const [index, fd] of fds.entries()) {
      if (fd < 0) continue;
      const name = names[index]!;
      this.#prepared.set(name, fd);
      this.#named.add(name);
    }
  }

  write(kind: string, id: number | undefined, entries: readonly ImageRecord[]): void {
    this.writeItems(
      kind,
      id,
      entries.map((value) => ({ value })),
    );
  }

  writeItems(kind: string, id: number | undefined, items: readonly ImageItem[]): void {
    const description = imageKind(kind);
    const bytes = encodeImage(description, items, this.#writer);
    const name = imageFileName(description, id);
    const fd = this.#create(name);
    for (let done = 0; done < bytes.length; ) done += this.#call('write', name, () => writeSync(fd, bytes, done));
  }

  /** Names and descriptors of what was written. */
  get written(): ReadonlyMap<string, number> {
    return this.#files;
  }

  rawFd(kind: string, id: number): number {
    const name = imageFileName(imageKind(kind), id);
    return this.#files.get(name) ?? this.#create(name);
  }

  /** What is in the directory is no image set any more. */
  retract(): void {
    this.#remove(INVENTORY);
  }

  /** Gives every file its name, inventory.img last. An older set in the directory stops being one first. */
  commit(sync: boolean): void {
    this.#removeOlder(INVENTORY);
    this.#removeOlder(DEDUPLICATED);
    if (!this.#files.has(CHECKSUMS)) this.#removeOlder(CHECKSUMS);
    this.publish(sync);
  }

  /** The same for files that are no image set (statistics): an inventory in the directory stays. */
  publish(sync = false): void {
    const names = [...this.#files.keys()].filter((name) => name !== INVENTORY);
    if (this.#files.has(INVENTORY)) names.push(INVENTORY);
    for (const name of names) {
      const fd = this.#files.get(name)!;
      if (sync) this.#call('fsync', name, () => fsyncSync(fd));
      if (!this.#named.delete(name)) {
        // An inventory that made them a set is gone. To replace a file by rename(2) has ext4 write the new one out at once (auto_da_alloc,
        // Documentation/admin-guide/ext4.rst): 60 to 360 ms.
        this.#removeOlder(name);
        this.#call('rename', name, () => renameSync(this.#temporary(name), `${this.#base}/${name}`));
      }
      // Of an older set here.
      if (name.startsWith('pages-')) for (const suffix of Object.values(SUFFIXES)) this.#removeOlder(name + suffix);
      this.#done.push(fd);
      this.#files.delete(name);
    }
    if (sync) this.#call('fsync', '.', () => fsyncSync(this.#dirFd));
  }

  /** Removes what was prepared and not written, and lets go of the directory. */
  close(): void {
    this.abort();
  }

  /** Removes what was written and lets go of the directory. */
  abort(): void {
    try {
      this.#settle();
    } catch {
      // What could not be opened is not there to be removed.
    }
    for (const [name, fd] of [...this.#files, ...this.#prepared]) {
      closeSync(fd);
      try {
        unlinkSync(this.#named.has(name) ? `${this.#base}/${name}` : this.#temporary(name));
      } catch {
        // Gone already: nothing is left behind, which is all that is wanted here.
      }
    }
    for (const fd of this.#done.splice(0)) closeSync(fd);
    this.#files.clear();
    this.#prepared.clear();
    this.#named.clear();
    closeSync(this.#dirFd);
  }

  #create(name: string): number {
    this.#settle();
    const fd = this.#prepared.get(name) ?? this.#open(name);
    this.#prepared.delete(name);
    this.#files.set(name, fd);
    return fd;
  }

  #open(name: string): number {
    return this.#openNamed(name) ?? this.#openTemporary(name);
  }

  #openNamed(name: string): number | undefined {
    if (this.#older.has(INVENTORY) || name === INVENTORY) return undefined;
    try {
      const fd = openSync(`${this.#base}/${name}`, CREATE, 0o600);
      this.#named.add(name);
      return fd;
    } catch {
      // Taken, by a dump that was killed: it is replaced when all is written. Anything else is told of the other name too.
      return undefined;
    }
  }

  #openTemporary(name: string): number {
    const path = this.#temporary(name);
    let fd: number;
    try {
      fd = openSync(path, CREATE, 0o600);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw this.#failed('open', name, error);
      // Left by a dump that was killed: nobody writes to it any more, or the two would fight over the names anyhow.
      unlinkSync(path);
      fd = this.#call('open', name, () => openSync(path, CREATE, 0o600));
    }
    return fd;
  }

  #temporary(name: string): string {
    return `${this.#base}/${TEMPORARY}${name}`;
  }

  #removeOlder(name: string): void {
    if (this.#older.has(name)) this.#remove(name);
  }

  #remove(name: string): void {
    try {
      unlinkSync(`${this.#base}/${name}`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw this.#failed('unlink', name, error);
    }
  }

  #call<T>(call: string, name: string, action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw this.#failed(call, name, error);
    }
  }

  #failed(call: string, name: string, error: unknown): CrtsError {
    const { code } = error as NodeJS.ErrnoException;
    return new CrtsError({
      code: 'CRTS_IMAGE_WRITE',
      what: 'an image cannot be written',
      path: `${this.directory}/${name}`,
      call,
      errno: code,
      hint: errnoHint({ errno: code, call, path: name }) ?? 'Check the images directory (-D) and its permissions.',
      cause: error,
    });
  }
}

/** Descriptor of a directory; the caller closes it. */
export function openDirectory(directory: string): number {
  try {
    return openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CrtsError({
      code: 'CRTS_IMAGES_DIR',
      what: 'the images directory cannot be opened',
      path: directory,
      call: 'open',
      errno: code,
      hint:
        code === 'ENOENT' || code === 'ENOTDIR'
          ? 'Create it, or name another with -D.'
          : errnoHint({ errno: code, call: 'open', path: directory }),
      cause: error,
    });
  }
}
