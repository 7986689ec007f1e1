import type { UnixSkEntry } from '@crts/image-io';
import { closeFd } from '@crts/native-syscalls';
import type {
  Arg,
  FdFinishContext,
  FdGroupContext,
  FdHandler,
  FdPlanContext,
  FileRecord,
  GroupMakers,
  LateFd,
  Pid,
  Program,
} from '@crts/plugin-api';
import { dumpSocket } from './dump';
import { noSuchFile, notAlone } from './errors';
import { type Connection, groupsOf, shapeOf } from './graph';
import { type Socket, type SocketSet, socketSet } from './image';
import { type Made, Makers } from './makers';
import { inheritedSockets } from './outside';
import { bringsRights, Opening, ownMembers } from './plan';
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
  /** Groups whose queues are filled when all descriptions are open. */
  readonly later: Map<readonly Socket[], Opening>;
  /** Groups of which other tasks made a part. */
  readonly begun: Map<readonly Socket[], { readonly opening: Opening; made: ReadonlyMap<Connection, Made> }>;
}

const restores = new WeakMap<object, Restore>();

function restoreOf(context: FdPlanContext): Restore {
  let restore = restores.get(context.files);
  if (restore === undefined) {
    const set = socketSet(context);
    const inherited = inheritedSockets(set.byIno, context.options);
    const made = [...set.byIno.values()].filter(({ entry }) => !inherited.has(entry.ino));
    restore = {
      set,
      groups: groupsOf(set.byIno),
      stale: staleNames(made),
      inherited,
      later: new Map(),
      begun: new Map(),
    };
    restores.set(context.files, restore);
  }
  return restore;
}

function entryOf(record: FileRecord): UnixSkEntry {
  return record.value as unknown as UnixSkEntry;
}

function makers(records: readonly FileRecord[], context: FdGroupContext): GroupMakers | undefined {
  const restore = restoreOf(context);
  const { set, stale, inherited, begun } = restore;
  const members = membersOf(records[0]!, restore);
  const shape = shapeOf(ownMembers(members, inherited), set.byIno);
  const several = new Makers(shape, context.pid, context.pids);
  reportCredentials(members, several, context);
  if (!several.areSeveral) return undefined;
  return {
    what: 'connect these sockets, each as who did',
    why: 'SO_PEERCRED names the task that connects, and only the one that listens can accept',
    emit: (program) => {
      const opening = new Opening(members, program, { byIno: set.byIno, stale, inherited, shape });
      opening.begin(context.spare);
      begun.set(members, { opening, made: new Map() });
    },
    run: (step) => {
      const group = begun.get(members)!;
      group.made = several.run(step, (ino) => group.opening.numberOf(ino));
    },
  };
}

/** They are closed here when the task has its own. */
function handed(fd: () => number): LateFd {
  return { take: fd, sent: () => closeFd(fd()) };
}

function open(records: readonly FileRecord[], program: Program, context: FdGroupContext): readonly Arg[] {
  const restore = restoreOf(context);
  const { set, stale, inherited, later, begun } = restore;
  const members = membersOf(records[0]!, restore);
  const group = begun.get(members);
  const shape = group?.opening.shape ?? shapeOf(ownMembers(members, inherited), set.byIno);
  const opening = group?.opening ?? new Opening(members, program, { byIno: set.byIno, stale, inherited, shape });
  const made = (connection: Connection) => ({
    client: handed(() => group!.made.get(connection)!.client),
    server: handed(() => group!.made.get(connection)!.server),
  });
  const opened = opening.make(program, group === undefined ? undefined : made);
  const isLater = bringsRights(members);
  if (isLater) {
    opening.keep(context.spare);
    later.set(members, opening);
  } else opening.complete();
  // What the images have and nothing refers to.
  const wanted = new Set(records.map((record) => entryOf(record).ino));
  for (const [ino, fd] of opened) if (!wanted.has(ino)) program.call('close', [fd]);
  return records.map((record) => opened.get(entryOf(record).ino)!);
}

/** Whom most of the members name as who made their connection: SO_PEERCRED takes who does it now. */
function opener(record: FileRecord, context: FdPlanContext): Pid | undefined {
  const counts = new Map<number, number>();
  for (const { entry } of membersOf(record, restoreOf(context))) {
    const pid = entry.crts?.cred_pid;
    if (pid !== undefined) counts.set(pid, (counts.get(pid) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0];
}

/** SO_PEERCRED takes the process that makes a connection: who is not in the images cannot. */
function reportCredentials(members: readonly Socket[], makers: Makers, { pid, log }: FdGroupContext): void {
  const others = members.filter((socket) => {
    const shown = makers.shown(socket);
    return (socket.entry.crts?.cred_pid ?? shown) !== shown;
  });
  if (others.length === 0) return;
  const files = others.map(({ entry }) => entry.id);
  log.warn({ pid, files }, `SO_PEERCRED of these sockets will show process ${pid}, not the one that connected them`);
}

function membersOf(record: FileRecord, { groups }: Restore): readonly Socket[] {
  return groups.get(entryOf(record).ino)!;
}

/** What messages bring; where no task has it, it is opened for this. */
function finish(record: FileRecord, program: Program, context: FdFinishContext): void {
  const restore = restoreOf(context);
  const members = membersOf(record, restore);
  const opening = restore.later.get(members);
  restore.later.delete(members);
  opening?.completeLater(program, (inside, id) => {
    const fd = context.borrow(inside, id);
    if (fd === undefined) throw noSuchFile(id);
    return fd;
  });
}

export const unixHandler: FdHandler = {
  name: 'fd-unix',
  external: ['unix', 'socket'],

  /** Only UNIX sockets tell of descriptors in flight (unix_show_fdinfo()). The others are left to who carries them, or refused by name. */
  match: (fd) => ((fd.mode & S_IFMT) !== S_IFSOCK ? 0 : /^scm_fds:/m.test(fd.fdinfo) ? 10 : 1),

  dump: dumpSocket,

  owns: (record) => record.field === 'usk',

  collect(_record: FileRecord, context: FdPlanContext): void {
    restoreOf(context);
  },

  group(record: FileRecord, context: FdPlanContext): string {
    return `unix:${membersOf(record, restoreOf(context))[0]!.entry.ino}`;
  },

  opener: ([record], context) => opener(record!, context),
  planMakers: makers,
  planGroup: open,
  plan(record: FileRecord): Arg {
    throw notAlone(entryOf(record).id);
  },

  inFlight: (record, context) =>
    restoreOf(context)
      .set.byId.get(entryOf(record).id)!
      .queue.flatMap(({ rights }) => rights),
  finish: (record, _fd, program, context) => finish(record, program, context),
};
