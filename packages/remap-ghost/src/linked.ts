/** Files that lost the name they were opened by and have others: a temporary name beside the old one carries them over. */
import { closeSync, openSync, unlinkSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { RegFileEntry } from '@crts/image-io';
import {
  CrtsError,
  type Effect,
  encodeName,
  type NamedFile,
  REMAP_TYPE,
  type RemapDump,
  type RemapDumpContext,
  type RemapEntry,
  type RemapHandler,
  type RemapPlanContext,
  type RemappedFile,
  type TreeImages,
} from '@crts/plugin-api';
import { callOf, errnoOf, linkFd } from './calls';
import { NFS_MAGIC, O_CLOEXEC, O_NOFOLLOW, O_PATH, OVERLAY_MAGIC, S_IFMT, S_IFREG } from './constants';
import { linkGone, needsLinkRemap, notLinked, notMade } from './errors';
import { dumpGhost } from './ghost';
import { typeOf } from './image';
import { Clones, Place } from './place';
import { modeOfRecord, nameOfRecord } from './record';
import { Slot } from './slot';

const FD_TYPE_REG = 1;
/** NFS names a file so that was deleted while open; the name goes when it is closed: nfs_sillyrename(), fs/nfs/unlink.c. */
const SILLY = /\/\.nfs[0-9a-f]{24}$/i;
const NO_OWNER = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };

/** Ids of the entries with the temporary names of a dump, by device and inode. */
const links = new WeakMap<TreeImages, Map<string, number>>();

export const linkedHandler: RemapHandler = {
  name: 'remap-ghost',

  match({ facts, name, isDeleted, leads }: NamedFile): number {
    if (facts.nlink === 0n) return 0;
    if (facts.fsType === NFS_MAGIC && SILLY.test(name)) return 20;
    // A directory has one name; see the ghost.
    return isDeleted && leads !== 'here' && (facts.mode & S_IFMT) !== 0o040000 ? 10 : 0;
  },

  dump(file: NamedFile, context: RemapDumpContext): RemapDump {
    const { facts, name } = file;
    const known = links.get(context.task.tree) ?? new Map<string, number>();
    links.set(context.task.tree, known);
    const key = `${facts.dev}:${facts.ino}`;
    let id = known.get(key);
    if (id === undefined) {
      if (facts.fsType === OVERLAY_MAGIC && isOrphanOfOverlay(file)) return dumpGhost(file, context);
      if (context.options.linkRemap !== true) throw needsLinkRemap();
      let effect: LinkEffect | undefined;
      id = context.addRecord((own) => {
        effect = new LinkEffect(facts.local, name, own);
        const value: RegFileEntry = { id: own, flags: 0, pos: 0n, fown: NO_OWNER, name: effect.path, build_id: [] };
        return { type: FD_TYPE_REG, field: 'reg', value };
      });
      context.addEffect(effect!);
      known.set(key, id);
    }
    return { name, remap: { id, type: REMAP_TYPE.linked } };
  },

  owns: (entry) => entry.remap_type === REMAP_TYPE.linked,

  plan(entries: readonly RemapEntry[], context: RemapPlanContext): ReadonlyMap<number, RemappedFile> {
    const files = new Map<number, RemappedFile>();
    const slots = new Map<string, Slot>();
    const temporary = new Set<string>();
    for (const { orig_id, remap_id } of entries) {
      const name = nameOfRecord(orig_id, context);
      const link = nameOfRecord(remap_id, context);
      if (!temporary.has(link)) {
        temporary.add(link);
        // A restore that failed can be tried again: the name stays until one succeeds.
        context.prepare({
          what: `remove ${link} in the end`,
          make: () => undefined,
          done: () => removeName(link),
        });
      }
      const key = `${link}\0${name}`;
      const slot = slots.get(key) ?? newSlot(name, link, modeOfRecord(orig_id, context), context);
      slots.set(key, slot);
      files.set(orig_id, slot);
    }
    return files;
  },
};

function newSlot(name: string, link: string, mode: number | undefined, context: RemapPlanContext): Slot {
  const slot = new Slot(name, typeOf(mode ?? S_IFREG), link);
  context.prepare({
    what: `give ${link} its former name ${name} for a moment`,
    make: () => {
      let fd: number;
      try {
        fd = openSync(encodeName(link), O_PATH | O_NOFOLLOW | O_CLOEXEC);
      } catch (error) {
        throw linkGone(link, errnoOf(error));
      }
      try {
        appearLinked(slot, link, fd);
      } catch (error) {
        if (error instanceof CrtsError && error.code !== 'CRTS_SYSCALL') throw error;
        throw notMade(name, callOf(error), errnoOf(error));
      } finally {
        closeSync(fd);
      }
    },
    close: () => slot.close(),
  });
  return slot;
}

function removeName(path: string): void {
  const clones = new Clones();
  try {
    new Place(dirname(path), clones).change((base) => unlinkSync(encodeName(`${base}/${basename(path)}`)));
  } finally {
    clones.close();
  }
}

/** On a read-only mount, the temporary name is reached by the clone through which the link is made. */
function appearLinked(slot: Slot, link: string, fd: number): void {
  const clones = new Clones();
  try {
    slot.appear(clones, (path) => {
      try {
        linkFd(fd, path);
      } catch (error) {
        if (errnoOf(error) !== 'EXDEV') throw error;
        const again = openSync(encodeName(`${clones.inside(dirname(link))}/${basename(link)}`), O_PATH | O_NOFOLLOW);
        try {
          linkFd(again, path);
        } finally {
          closeSync(again);
        }
      }
    });
  } finally {
    clones.close();
  }
}

/**
 * overlayfs counts the links of the lower layer's file and will link only what the upper layer has: ovl_link() answers
 * ENOENT (fs/overlayfs/dir.c). Such a file has no name that a link could join.
 */
function isOrphanOfOverlay({ facts, name }: NamedFile): boolean {
  const trial = `${dirname(name)}/.crts-trial-${process.pid}`;
  try {
    linkFd(facts.local, trial);
  } catch (error) {
    return errnoOf(error) === 'ENOENT';
  }
  unlinkSync(encodeName(trial));
  return false;
}

/** The temporary name, made at the very end of a dump: one that is killed before leaves nothing. */
class LinkEffect implements Effect {
  readonly path: string;
  readonly what: string;
  #fd: number | undefined;

  constructor(local: number, name: string, id: number) {
    this.path = `${existing(dirname(name))}/link_remap.${id}`;
    this.what = `give ${name} the temporary name ${this.path}`;
    // The borrowed descriptor is closed before the end of the dump.
    this.#fd = openSync(`/proc/self/fd/${local}`, O_PATH | O_CLOEXEC);
  }

  make(): void {
    try {
      linkFd(this.#fd!, this.path);
    } catch (error) {
      throw notLinked(this.path, errnoOf(error));
    } finally {
      closeSync(this.#fd!);
      this.#fd = undefined;
    }
  }

  undo(): void {
    unlinkSync(encodeName(this.path));
  }
}

/** The directory, or the nearest above that still exists: CRIU's rule. */
function existing(directory: string): string {
  for (let path = directory; path !== '/'; path = dirname(path)) {
    try {
      closeSync(openSync(encodeName(path), O_PATH | O_CLOEXEC));
      return path;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw notLinked(`${path}/${basename(directory)}`, errnoOf(error));
    }
  }
  return '';
}
