import {
  type NamedFile,
  REMAP_TYPE,
  type RemapDump,
  type RemapDumpContext,
  type RemapEntry,
  type RemapHandler,
  type RemapPlanContext,
  type RemappedFile,
} from '@crts/plugin-api';
import { badPid, foreignEntry, notNamed } from './errors';

const PROC_MAGIC = 0x9fa0n;
/** PID_MAX_LIMIT, include/linux/threads.h. */
const PID_MAX = 4 * 1024 * 1024;
/** The second component of a path in /proc is a pid, or none: /proc/kmsg, /proc/sys. */
const OF_A_PROCESS = /^\/proc\/(\d+)(?:\/|$)/;
/** What d_path() appends to the directory of a process that is gone; entries in it have no suffix. */
const DELETED = ' (deleted)';

/** Files of /proc/PID: the entry of a live process of the tree, or of a stranger, is found by its name again. */
export const procHandler: RemapHandler = {
  name: 'remap-proc',

  match(file: NamedFile, context): number {
    const pid = pidOf(file);
    if (pid === undefined) return 0;
    // A process that is dead and not dumped may be gone, with its entry, when the restore comes.
    return file.leads !== 'here' || context.fateOf(pid) === 'dead' ? 20 : 0;
  },

  dump(file: NamedFile, context: RemapDumpContext): RemapDump {
    const pid = pidOf(file)!;
    if (context.fateOf(pid) !== 'dead') throw foreignEntry(pid);
    const name = file.name.endsWith(DELETED) ? file.name.slice(0, -DELETED.length) : file.name;
    // As CRIU, one entry for each process, whichever of its files is the first.
    return context.first(`remap-proc ${pid}`) ? { name, remap: { id: pid, type: REMAP_TYPE.procfs } } : { name };
  },

  owns: (entry) => entry.remap_type === REMAP_TYPE.procfs,

  plan(entries: readonly RemapEntry[], context: RemapPlanContext): ReadonlyMap<number, RemappedFile> {
    for (const { orig_id, remap_id: pid } of entries) {
      if (pid < 1 || pid > PID_MAX) throw badPid(orig_id, pid);
      const name = context.record(orig_id)?.value.name;
      if (typeof name !== 'string' || OF_A_PROCESS.exec(name)?.[1] !== String(pid)) throw notNamed(orig_id, pid);
      context.addHelper(pid);
    }
    // Their names lead to the helper's entry while it lives.
    return new Map();
  },
};

function pidOf({ facts, name }: NamedFile): number | undefined {
  if (facts.fsType !== PROC_MAGIC) return undefined;
  // The directory itself: "/proc/12 (deleted)".
  const pid = OF_A_PROCESS.exec(name.endsWith(DELETED) ? name.slice(0, -DELETED.length) : name)?.[1];
  return pid === undefined ? undefined : Number(pid);
}
