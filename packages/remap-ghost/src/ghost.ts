import {
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
import { captureGhost } from './capture';
import { S_IFDIR } from './constants';
import { withoutName } from './errors';
import { type Ghost, readGhost, typeOf } from './image';
import { setLate } from './inode-flags';
import { makeGhost } from './make';
import { nameOfRecord } from './record';
import { Slot } from './slot';

/** Numbers of the ghosts of a dump, by device and inode. */
const numbers = new WeakMap<TreeImages, Map<string, number>>();

export const ghostHandler: RemapHandler = {
  name: 'remap-ghost',

  match({ facts, isDeleted, leads }: NamedFile): number {
    if (facts.nlink === 0n) return 10;
    // Some filesystems keep the link count of a directory that was removed.
    return isDeleted && leads !== 'here' && typeOf(facts.mode) === S_IFDIR ? 10 : 0;
  },

  dump: dumpGhost,

  owns: (entry) => entry.remap_type === REMAP_TYPE.ghost,

  plan(entries: readonly RemapEntry[], context: RemapPlanContext): ReadonlyMap<number, RemappedFile> {
    const files = new Map<number, RemappedFile>();
    const ghosts = new Map<number, { readonly ghost: Ghost; readonly slots: Map<string, Slot> }>();
    for (const { orig_id, remap_id } of entries) {
      const name = nameOfRecord(orig_id, context);
      let known = ghosts.get(remap_id);
      if (known === undefined) {
        const ghost = readGhost(remap_id, context.image('ghost-file', remap_id));
        const slots = new Map<string, Slot>();
        known = { ghost, slots };
        ghosts.set(remap_id, known);
        context.prepare({
          what: `make the deleted file ${name}, ${ghost.sizeBytes} bytes`,
          make: () => makeGhost(ghost, [...slots.values()], context.log),
          // No description is opened any more, and no program runs yet.
          done: () => {
            for (const slot of slots.values()) setLate(ghost, slot.reach(), context.log);
          },
          close: () => {
            for (const slot of slots.values()) slot.close();
          },
        });
      }
      const slot = known.slots.get(name) ?? new Slot(name, typeOf(known.ghost.mode), undefined, known.ghost.was);
      known.slots.set(name, slot);
      files.set(orig_id, slot);
    }
    return files;
  },
};

/** One image, however many descriptions, mappings and names the file has. */
export function dumpGhost({ facts, name }: NamedFile, context: RemapDumpContext): RemapDump {
  const known = numbers.get(context.task.tree) ?? new Map<string, number>();
  numbers.set(context.task.tree, known);
  const key = `${facts.dev}:${facts.ino}`;
  let id = known.get(key);
  if (name === '/' && typeOf(facts.mode) !== S_IFDIR) throw withoutName();
  if (id === undefined) {
    id = known.size + 1;
    captureGhost(facts, id, context);
    known.set(key, id);
  }
  return { name, remap: { id, type: REMAP_TYPE.ghost } };
}
