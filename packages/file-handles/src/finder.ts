import { closeSync, openSync, readFileSync } from 'node:fs';
import { rawSyscall } from '@crts/native-syscalls';
import { decodeName } from '@crts/plugin-api';
import { type FileHandle, leadsTo, openHandleHere, pathArgument } from './handle';
import { type Mount, parseMountinfo } from './mounts';
import { layerHandle } from './overlay';
import { scan } from './scan';

const O_PATH = 0o10000000;
const PATH_MAX = 4096;
const DELETED = ' (deleted)';

/** What the kernel tells of a watched object: an inode of a device (major << 20 | minor), and its handle. */
export interface WatchedObject {
  readonly device: number;
  readonly ino: bigint;
  readonly handle: FileHandle | undefined;
}

export type Found =
  | { readonly kind: 'path'; readonly path: string }
  /** The handle opens, and no name leads there. */
  | { readonly kind: 'handle'; readonly formerPath: string; readonly deleted: boolean }
  | { readonly kind: 'lost' };

export interface FinderOptions {
  /** Whose mounts and candidates: a /proc directory, `/proc/12`. */
  readonly proc: string;
  /** Directories to search before all others (`--irmap-scan-path`). */
  readonly scanPaths?: readonly string[] | undefined;
  /** Names are searched for also where the handle is good (`--force-irmap`). */
  readonly force?: boolean | undefined;
}

/**
 * Finds names of watched objects. Nothing is opened but with O_PATH, which no watch reports; the working directory of the
 * engine moves from mount to mount meanwhile, so no relative path may be used until `close`.
 */
export class Finder {
  readonly #options: FinderOptions;
  readonly #mounts: readonly Mount[];
  readonly #home: number;
  readonly #byDevice = new Map<number, readonly Mount[]>();
  readonly #link = Buffer.alloc(PATH_MAX);
  #here = '';

  constructor(options: FinderOptions) {
    this.#options = options;
    this.#mounts = parseMountinfo(readFileSync(`${options.proc}/mountinfo`));
    this.#home = openSync('.', O_PATH);
  }

  close(): void {
    rawSyscall('fchdir', this.#home);
    closeSync(this.#home);
  }

  /** Mounts of a file system, in their order. */
  mountsOf(device: number): readonly Mount[] {
    const known = this.#byDevice.get(device);
    if (known !== undefined) return known;
    const mounts = this.#mounts.filter((mount) => mount.device === device);
    this.#byDevice.set(device, mounts);
    return mounts;
  }

  mountById(id: number): Mount | undefined {
    return this.#mounts.find((mount) => mount.id === id);
  }

  find(object: WatchedObject): Found {
    const opened = this.#byHandle(object);
    if (opened?.kind === 'path') return opened;
    if (opened !== undefined && (opened.deleted || this.#options.force !== true)) return opened;
    const path = this.#byLayer(object) ?? scan(object, this.#options, this.mountsOf(object.device));
    return path === undefined ? (opened ?? { kind: 'lost' }) : { kind: 'path', path };
  }

  /** An O_PATH descriptor of the object; undefined where no mount opens its handle. The caller closes it. */
  open(object: WatchedObject): number | undefined {
    const { handle, device } = object;
    if (handle === undefined) return undefined;
    for (const { point } of this.mountsOf(device)) {
      if (!this.#enter(point)) continue;
      const fd = openHandleHere(handle);
      if (fd >= 0) return fd;
    }
    return undefined;
  }

  release(fd: number): void {
    rawSyscall('close', fd);
  }

  #byHandle(object: WatchedObject): Exclude<Found, { kind: 'lost' }> | undefined {
    let unnamed: Found & { kind: 'handle' } = { kind: 'handle', formerPath: '', deleted: false };
    let isOpened = false;
    for (const { point } of object.handle === undefined ? [] : this.mountsOf(object.device)) {
      if (!this.#enter(point)) continue;
      const text = this.#linkOf(object.handle!);
      if (text === undefined) continue;
      isOpened = true;
      if (leadsTo(text, object.handle!)) return { kind: 'path', path: text };
      const deleted = text.endsWith(DELETED);
      const formerPath = deleted ? text.slice(0, -DELETED.length) : text;
      if (leadsTo(formerPath, object.handle!)) return { kind: 'path', path: formerPath };
      unnamed = { kind: 'handle', formerPath, deleted };
    }
    return isOpened ? unnamed : undefined;
  }

  /** Overlayfs does not open its own handles by default; the layer that holds the file does. */
  #byLayer(object: WatchedObject): string | undefined {
    const inside = object.handle === undefined ? undefined : layerHandle(object.handle);
    if (inside === undefined) return undefined;
    for (const { point, layers } of this.mountsOf(object.device))
      for (const layer of layers) {
        if (!this.#enter(layer)) continue;
        const text = this.#linkOf(inside);
        const root = layer === '/' ? '' : layer;
        if (text === undefined || !`${text}/`.startsWith(`${root}/`)) continue;
        const path = `${point === '/' ? '' : point}${text.slice(root.length)}` || '/';
        if (leadsTo(path, object.handle!)) return path;
      }
    return undefined;
  }

  /** Text of the link of an opened handle; undefined where it does not open here. */
  #linkOf(handle: FileHandle): string | undefined {
    const fd = openHandleHere(handle);
    if (fd < 0) return undefined;
    const length = rawSyscall('readlink', pathArgument(`/proc/self/fd/${fd}`), this.#link, PATH_MAX);
    rawSyscall('close', fd);
    return length < 0 ? undefined : decodeName(this.#link.subarray(0, length));
  }

  #enter(directory: string): boolean {
    if (this.#here === directory) return true;
    if (rawSyscall('chdir', pathArgument(directory)) < 0) return false;
    this.#here = directory;
    return true;
  }
}
