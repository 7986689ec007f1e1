/** A file that is made again under a name for a moment: what was opened meanwhile shows that name for ever. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { lateOpen } from '@crts/native-syscalls';
import { type Arg, type CallOptions, encodeName, type Program, type RemappedFile } from '@crts/plugin-api';
import { callOn, cName, errnoOf } from './calls';
import { AT_FDCWD, O_CLOEXEC, O_NOFOLLOW, O_PATH, O_TMPFILE, S_IFDIR, S_IFIFO, TMPFILE_BIT } from './constants';
import { notOpened } from './errors';
import { typeOf } from './image';
import { type Clones, Place } from './place';

const AT_REMOVEDIR = 0x200;

/** A description that has to be opened by the name itself, while it is there. */
interface Early {
  readonly flags: number;
  fd: number | undefined;
}

/**
 * One name of one file. The engine keeps a path (O_PATH) to it, and opens that path again for each description: it leads
 * to the file and its name whether or not a directory still has it, and nothing is left in a directory while tasks are built.
 */
export class Slot implements RemappedFile {
  readonly checkName: string | undefined;
  readonly was: RemappedFile['was'];
  readonly name: string;
  /** Descriptions that were opened with O_TMPFILE: only such a one can be given a name later (linkat). */
  original: Early | undefined;
  #fd: number | undefined;
  readonly #early: Early[] = [];
  readonly #type: number;

  constructor(name: string, type: number, checkName?: string, was?: RemappedFile['was']) {
    this.name = name;
    this.was = was;
    this.#type = type;
    this.checkName = checkName;
  }

  open(program: Program, flags: number, options: CallOptions): Arg {
    const fail = (errno: string | undefined) => options.fail?.(errno, 0n) ?? notOpened(this.name, errno);
    const what = options.what === undefined ? {} : { what: options.what };
    if ((flags & TMPFILE_BIT) !== 0 && this.original === undefined) {
      this.original = { flags, fd: undefined };
      return program.receiveFd(handOver(this.original), what);
    }
    // A FIFO may wait for its other side, so it is never opened early; that it was opened with O_NOFOLLOW is lost.
    if ((flags & O_NOFOLLOW) !== 0 && (this.#type !== S_IFIFO || (flags & O_PATH) !== 0)) {
      const early: Early = { flags, fd: undefined };
      this.#early.push(early);
      return program.receiveFd(handOver(early), what);
    }
    const again = withoutTmpfile(flags, this.#type) & ~O_NOFOLLOW;
    return program.receiveFd(
      lateOpen(() => `/proc/self/fd/${this.#fd}`, again, fail),
      what,
    );
  }

  reach(): string | undefined {
    return this.#fd === undefined ? undefined : `/proc/self/fd/${this.#fd}`;
  }

  /** Keeps the path to what `fd` has open, without a name. */
  keep(fd: number): void {
    this.#fd = openSync(`/proc/self/fd/${fd}`, O_PATH | O_CLOEXEC);
  }

  /** `make` gives the file its name; it is opened, and after `meanwhile` the name is removed again. */
  appear(clones: Clones, make: (path: string) => void, meanwhile: () => void = () => undefined): void {
    const place = new Place(dirname(this.name), clones);
    try {
      const given = place.give(basename(this.name), make);
      try {
        this.#openBy(`${place.directory === '/' ? '' : place.directory}/${given}`);
        meanwhile();
      } finally {
        const flags = this.#type === S_IFDIR ? AT_REMOVEDIR : 0;
        place.change((base) => callOn(this.name, 'unlinkat', AT_FDCWD, cName(`${base}/${given}`), flags));
      }
    } finally {
      place.close();
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    for (const early of [this.original, ...this.#early]) {
      if (early?.fd === undefined) continue;
      closeSync(early.fd);
      early.fd = undefined;
    }
  }

  #openBy(path: string): void {
    const bytes = encodeName(path);
    this.#fd = openSync(bytes, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (typeOf(fstatSync(this.#fd).mode) !== this.#type) throw notOpened(path, 'EEXIST');
    for (const early of this.#early) early.fd = openNow(path, early.flags);
    // Where the filesystem knows no O_TMPFILE.
    if (this.original !== undefined && this.original.fd === undefined)
      this.original.fd = openNow(path, withoutTmpfile(this.original.flags, this.#type));
  }
}

/** O_TMPFILE has the bit of O_DIRECTORY, which a regular file does not open with. */
function withoutTmpfile(flags: number, type: number): number {
  return type === S_IFDIR ? flags & ~TMPFILE_BIT : flags & ~O_TMPFILE;
}

function openNow(path: string, flags: number): number {
  try {
    return openSync(encodeName(path), flags | O_CLOEXEC);
  } catch (error) {
    throw notOpened(path, errnoOf(error));
  }
}

function handOver(early: Early) {
  return {
    take: () => early.fd!,
    sent: () => {
      if (early.fd !== undefined) closeSync(early.fd);
      early.fd = undefined;
    },
  };
}
