/** Writes the images of a tree that all have been collected. */
import type { CoreEntry, CrtsTrackerEntry, ImageWriter, InventoryEntry, PstreeEntry } from '@crts/image-io';
import type { ImageRecord } from '@crts/plugin-api';
import { clocksOf } from './clocks';
import type { FileTable } from './file-table';
import type { Zombie } from './freeze';
import type { Frozen } from './frozen-task';
import { ENGINE_IDS } from './object-ids';
import { SIGCHLD } from './signal-numbers';
import { exitSignalOf } from './wait-states';
import { ownerEntry } from './zombie-ids';

/** Images that every living task has, by its pid. */
export const TASK_IMAGES = ['core', 'ids', 'mm', 'fs', 'pagemap'] as const;
/** Images that every dump has. */
export const TREE_IMAGES = [
  ['pstree', undefined],
  ['files', undefined],
  ['seccomp', undefined],
  ['timens', 0],
  ['inventory', undefined],
] as const;

const MARCH_X86_64 = 1;
/** TASK_DEAD of the format. */
const TASK_DEAD = 2;

export interface DumpedTree {
  /** Parents before children. */
  readonly tasks: readonly Frozen[];
  readonly zombies: readonly Zombie[];
  /** Order of pstree.img: a restore makes the children of a parent in it. */
  readonly sequence: readonly number[];
  readonly files: FileTable;
}

export function writeImages(
  writer: Pick<ImageWriter, 'write' | 'writeItems'>,
  tree: DumpedTree,
  tracker?: CrtsTrackerEntry,
): void {
  const { tasks, zombies, files } = tree;
  const members = [...tasks.map(pstreeEntry), ...zombies.map(zombieEntry)];
  const entries = new Map(members.map((entry) => [entry.pid, entry]));
  writer.write(
    'pstree',
    undefined,
    tree.sequence.map((pid) => entries.get(pid)!),
  );
  const tables = new Set<number>();
  for (const task of tasks) {
    const { pid, images, ids } = task;
    for (const { tid, core } of task.threads) writer.write('core', tid, [core]);
    writer.write('ids', pid, [ids]);
    // Memory that others have too is in the images of the first.
    if (task.owners.vm === pid) writer.write('mm', pid, [images.mm]);
    writer.write('fs', pid, [images.fs]);
    // Tasks that share a table have one image of it.
    if (!tables.has(ids.files_id)) writer.write('fdinfo', ids.files_id, task.fdinfo);
    tables.add(ids.files_id);
  }
  for (const zombie of zombies) writer.write('core', zombie.pid, [zombieCore(zombie)]);
  writer.write('files', undefined, files.entries);
  for (const [kind, items] of files.items) writer.writeItems(kind, undefined, items);
  writeAll(
    writer,
    'filelocks',
    tasks.flatMap(({ images }) => images.locks),
  );
  writeAll(
    writer,
    'tty-info',
    tasks.flatMap(({ images }) => images.ttys),
  );
  if (!files.items.has('seccomp')) writer.write('seccomp', undefined, [{ seccomp_filters: [] }]);
  writeClocks(writer, tasks[0]!);
  const inventory: InventoryEntry = {
    img_version: 2,
    fdinfo_per_id: true,
    root_ids: ENGINE_IDS,
    ns_per_id: true,
    root_cg_set: 1,
    lsmtype: 0,
    network_lock_method: 0,
    ...(tracker === undefined ? {} : { crts_tracker: tracker }),
  };
  writer.write('inventory', undefined, [inventory]);
}

/** An image without entries is not written. */
function writeAll(writer: Pick<ImageWriter, 'write'>, kind: string, entries: readonly ImageRecord[]): void {
  if (entries.length > 0) writer.write(kind, undefined, entries);
}

function pstreeEntry({ pid, ppid, facts, threads }: Frozen): PstreeEntry {
  return {
    pid,
    ppid,
    pgid: Number(facts.stat.pgrp),
    sid: Number(facts.stat.session),
    threads: threads.map(({ tid }) => tid),
  };
}

function zombieEntry({ pid, ppid, stat }: Zombie): PstreeEntry {
  return { pid, ppid, pgid: Number(stat.pgrp), sid: Number(stat.session), threads: [pid] };
}

function zombieCore({ comm, stat, ...owner }: Zombie): ImageRecord {
  const core = {
    mtype: MARCH_X86_64,
    tc: {
      task_state: TASK_DEAD,
      exit_code: Number(stat.exit_code),
      personality: 0,
      flags: 0,
      blk_sigset: 0n,
      comm,
      sigactions: [],
    },
  } satisfies CoreEntry;
  const signal = exitSignalOf(stat);
  const own = { ...ownerEntry(owner), ...(signal === SIGCHLD ? {} : { crts: { exit_signal: signal } }) };
  if (Object.keys(own).length === 0) return core as ImageRecord;
  // CRIU does not look at the thread of a dead process.
  return { ...core, thread_core: { futex_rla: 0n, futex_rla_len: 0, ...own } } as ImageRecord;
}

/** CRIU reads the clocks of a tree without a time namespace of its own as those of namespace 0. */
function writeClocks(writer: Pick<ImageWriter, 'write'>, { ids, clockShift }: Frozen): void {
  writer.write('timens', clockShift === undefined ? 0 : ids.time_ns_id, [clocksOf(clockShift)]);
}
