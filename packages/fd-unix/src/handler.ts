import type { UnixSkEntry } from '@crts/image-io';
import type { Arg, FdHandler, FdPlanContext, FileRecord, Program } from '@crts/plugin-api';
import { dumpSocket } from './dump';
import { groupsOf } from './graph';
import { type Socket, type SocketSet, socketSet } from './image';
import { inheritedSockets } from './outside';
import { planSockets } from './plan';
import { staleNames } from './restore-names';

const S_IFMT = 0o170000;
const S_IFSOCK = 0o140000;

/** What a restore knows of the sockets of its images. */
interface Restore {
  readonly set: SocketSet;
  readonly groups: ReadonlyMap<number, readonly Socket[]>;
  readonly stale: ReadonlySet<number>;
  /** Descriptors of crts for sockets that only its caller has, by inode. */
  readonly inherited: ReadonlyMap<number, number>;
}

const restores = new WeakMap<object, Restore>();

function restoreOf(context: FdPlanContext): Restore {
  let restore = restores.get(context.files);
  if (restore === undefined) {
    const set = socketSet(context);
    const inherited = inheritedSockets(set.byIno, context.options);
    const made = [...set.byIno.values()].filter(({ entry }) => !inherited.has(entry.ino));
    restore = { set, groups: groupsOf(set.byIno), stale: staleNames(made), inherited };
    restores.set(context.files, restore);
  }
  return restore;
}

function entryOf(record: FileRecord): UnixSkEntry {
  return record.value as unknown as UnixSkEntry;
}

function open(records: readonly FileRecord[], program: Program, context: FdPlanContext): readonly Arg[] {
  const { set, groups, stale, inherited } = restoreOf(context);
  const members = groups.get(entryOf(records[0]!).ino)!;
  const opened = planSockets(members, program, { byIno: set.byIno, stale, inherited });
  return records.map((record) => opened.get(entryOf(record).ino)!);
}

export const unixHandler: FdHandler = {
  name: 'fd-unix',
  external: ['unix'],

  /** Only UNIX sockets tell of descriptors in flight (unix_show_fdinfo()). The others are left to who carries them, or refused by name. */
  match: (fd) => ((fd.mode & S_IFMT) !== S_IFSOCK ? 0 : /^scm_fds:/m.test(fd.fdinfo) ? 10 : 1),

  dump: dumpSocket,

  owns: (record) => record.field === 'usk',

  collect(_record: FileRecord, context: FdPlanContext): void {
    restoreOf(context);
  },

  group(record: FileRecord, context: FdPlanContext): string {
    return `unix:${restoreOf(context).groups.get(entryOf(record).ino)![0]!.entry.ino}`;
  },

  planGroup: open,
  plan: (record, program, context) => open([record], program, context)[0]!,
};
