/** Where names are made for a moment, and taken away again. */
import { closeSync, mkdirSync, openSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { encodeName } from '@crts/plugin-api';
import { callOn, cName, errnoOf } from './calls';
import { AT_EMPTY_PATH, AT_FDCWD, O_CLOEXEC, O_PATH } from './constants';

const OPEN_TREE_CLONE = 1;
const MOUNT_ATTR_RDONLY = 1n;
const MOUNT_ATTR_SIZE = 32;
const NAME_MAX = 255;
/** How many other names are tried when somebody else has the right one. */
const ALTERNATIVES_MAX = 100;

/** Private writable clones of read-only mounts, one of each mount, so that a file can be linked between its directories. */
export class Clones {
  readonly #byRoot = new Map<string, number>();

  /** The directory as the clone of its mount has it. */
  inside(directory: string): string {
    const root = rootOfMount(directory);
    let tree = this.#byRoot.get(root);
    if (tree === undefined) {
      tree = writableClone(root);
      this.#byRoot.set(root, tree);
    }
    return `/proc/self/fd/${tree}/${directory.slice(root.length)}`;
  }

  close(): void {
    for (const tree of this.#byRoot.values()) closeSync(tree);
    this.#byRoot.clear();
  }
}

/** The highest directory above that is on the same mount. */
function rootOfMount(directory: string): string {
  const own = mountOf(directory);
  let root = directory;
  while (root !== '/' && mountOf(dirname(root)) === own) root = dirname(root);
  return root;
}

function mountOf(directory: string): string | undefined {
  const fd = openSync(encodeName(directory), O_PATH | O_CLOEXEC);
  try {
    return /^mnt_id:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
  } finally {
    closeSync(fd);
  }
}

/**
 * A directory that may not exist any more, or lie on a read-only mount. Missing directories are made and removed again. On a
 * read-only mount of a writable filesystem, changes go through a private writable clone of the mount that nobody else sees;
 * CRIU makes the mount itself writable for the moment.
 */
export class Place {
  readonly directory: string;
  readonly #clones: Clones;
  /** The nearest directory that exists. */
  readonly #ancestor: string;
  readonly #made: string[] = [];

  constructor(directory: string, clones: Clones) {
    this.directory = directory;
    this.#clones = clones;
    this.#ancestor = nearest(directory);
    try {
      const missing = this.directory.slice(this.#ancestor.length).split('/').filter(Boolean);
      let path = '';
      for (const part of missing) {
        path += `/${part}`;
        this.#changeAncestor((base) => mkdirSync(encodeName(`${base}${path}`), 0o700));
        this.#made.push(path);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Does something to the directory, which is `base` then. */
  change<T>(action: (base: string) => T): T {
    const below = this.directory.slice(this.#ancestor === '/' ? 0 : this.#ancestor.length);
    return this.#changeAncestor((base) => action(below === '/' ? base : `${base}${below}`));
  }

  #changeAncestor<T>(action: (base: string) => T): T {
    try {
      return action(this.#ancestor === '/' ? '' : this.#ancestor);
    } catch (error) {
      if (errnoOf(error) !== 'EROFS') throw error;
      return action(this.#clones.inside(this.#ancestor));
    }
  }

  /** Makes `name` in the directory, or another where somebody has that one; returns the name that it got. */
  give(name: string, make: (path: string) => void): string {
    for (let attempt = 0; ; attempt++) {
      const candidate = attempt === 0 ? name : alternative(name, attempt);
      try {
        this.change((base) => make(`${base}/${candidate}`));
        return candidate;
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST' || attempt === ALTERNATIVES_MAX) throw error;
      }
    }
  }

  /** Removes the directories that it made. */
  close(): void {
    for (const path of this.#made.splice(0).reverse())
      this.#changeAncestor((base) => rmdirSync(encodeName(`${base}${path}`)));
  }
}

function nearest(directory: string): string {
  for (let path = directory; path !== ''; path = path.slice(0, path.lastIndexOf('/'))) {
    try {
      if (statSync(encodeName(path)).isDirectory()) return path;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno !== 'ENOENT' && errno !== 'ENOTDIR') throw error;
    }
  }
  return '/';
}

function alternative(name: string, attempt: number): string {
  const suffix = `.crts-${attempt}`;
  let stem = name;
  while (encodeName(stem).length + suffix.length > NAME_MAX) stem = stem.slice(0, -1);
  return stem + suffix;
}

/** A mount of the same directory in no namespace, without the read-only attribute: man 2 open_tree, mount_setattr. */
function writableClone(directory: string): number {
  const tree = callOn(directory, 'open_tree', AT_FDCWD, cName(directory), OPEN_TREE_CLONE | O_CLOEXEC);
  try {
    const attributes = Buffer.alloc(MOUNT_ATTR_SIZE);
    attributes.writeBigUInt64LE(MOUNT_ATTR_RDONLY, 8);
    callOn(directory, 'mount_setattr', tree, Buffer.from([0]), AT_EMPTY_PATH, attributes, MOUNT_ATTR_SIZE);
    return tree;
  } catch (error) {
    closeSync(tree);
    throw error;
  }
}
