import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { FownEntry, ScmEntry, UnixSkEntry } from '@crts/image-io';
import { rawSyscall } from '@crts/native-syscalls';
import type { FdDumpContext, FdFacts, FileRecord, TreeImages } from '@crts/plugin-api';
import { type SocketFacts, unixSockets } from './diag';
import {
  descriptorsInFlight,
  otherFamily,
  otherType,
  outsideClient,
  outsidePeer,
  unreachable,
  vanished,
  waitingClosed,
  waitingData,
} from './errors';
import { directoryOf, isPath, leadsTo, pathText, type SocketFile, showName, socketFile } from './name';
import { dumpFurtherOptions, dumpOptions, getOption } from './options';
import { lookHere } from './peek-here';
import { isStill, lookInside } from './peek-inside';
import { POLL, peekQueue } from './queue';
import { separate } from './separation';
import {
  AF_UNIX,
  FD_TYPE_UNIXSK,
  SCM_RIGHTS,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  STATE,
  USK_EXTERN,
} from './sockets';
import { NOT_URGENT, urgencyOf } from './urgent';

const SO_PEERCRED = 17;
const SO_TYPE = 3;
const SO_DOMAIN = 39;
const SO_PEEK_OFF = 42;
const SO_PASSPIDFD = 76;
const SIOCINQ = 0x541b;
/** The network namespace of the tree in CRIU's numbering. */
const NET_NS_ID = 2;
const SUN_ROOM = 128;

interface Dumped {
  readonly entry: UnixSkEntry;
  readonly facts: SocketFacts;
  readonly subject: { readonly pid: number; readonly fd: number };
}

/** The sockets of the namespace and those dumped so far, for each dump. */
interface Dump {
  readonly all: ReadonlyMap<number, SocketFacts>;
  readonly dumped: Map<number, Dumped>;
  /** Of the first socket: for what belongs to all. */
  readonly context: FdDumpContext;
  /** Ids of the entries of sockets outside the tree. */
  readonly outside: Map<number, number>;
  /** Sockets with something to read. */
  readonly filled: Set<number>;
}

const dumps = new WeakMap<TreeImages, Dump>();

function dumpOf(context: FdDumpContext): Dump {
  const { tree } = context.task;
  const known = dumps.get(tree);
  if (known !== undefined) return known;
  const dump: Dump = {
    all: unixSockets(),
    dumped: new Map(),
    context,
    outside: new Map(),
    filled: new Set(),
  };
  dumps.set(tree, dump);
  context.afterAll(() => endSockets(dump));
  return dump;
}

export function dumpSocket(fd: FdFacts, context: FdDumpContext): FileRecord {
  const subject = { pid: fd.pid, fd: fd.fd };
  const family = getOption(fd.local, SO_DOMAIN)!.readInt32LE(0);
  const type = getOption(fd.local, SO_TYPE)!.readInt32LE(0);
  if (family !== AF_UNIX) throw otherFamily(subject, family, type);
  if (![SOCK_STREAM, SCM_RIGHTS, SOCK_DGRAM, SOCK_SEQPACKET].includes(type)) throw otherType(subject, type);
  const ino = Number(fd.ino);
  const dump = dumpOf(context);
  const facts = dump.all.get(ino);
  if (facts === undefined) throw vanished(subject, ino);
  const entry: UnixSkEntry = {
    id: context.id,
    ino,
    type,
    state: facts.state,
    flags: fd.flags,
    uflags: 0,
    backlog: facts.writeQueue,
    peer: facts.peer ?? 0,
    fown: context.fown as unknown as FownEntry,
    opts: dumpOptions(fd.local, subject),
    name: facts.name ?? Buffer.alloc(0),
    shutdown: facts.shutdown,
    ns_id: NET_NS_ID,
    crts: { options: dumpFurtherOptions(fd.local, type), waiting: [...facts.waiting] },
  };
  if (facts.name !== undefined && isPath(facts.name))
    addFile(entry, facts.name, socketFile(fd.local), subject, context);
  addCredentials(entry, fd.local);
  addOwner(entry, fd);
  const events = pollEvents(fd.local);
  if (facts.state !== STATE.LISTEN) dumpQueue(fd, entry, events, context);
  if (facts.peer === 0) addClosedPeer(entry, fd.local, events);
  dump.dumped.set(ino, { entry, facts, subject });
  return { type: FD_TYPE_UNIXSK, field: 'usk', value: entry as unknown as Record<string, unknown> };
}

function addFile(
  entry: UnixSkEntry,
  name: Buffer,
  file: SocketFile | undefined,
  subject: Dumped['subject'],
  context: FdDumpContext,
): void {
  if (file === undefined) return;
  entry.file_perms = { mode: file.mode, uid: file.uid, gid: file.gid };
  const path = pathText(name);
  if (!path.startsWith('/')) entry.name_dir = directoryOf(path, file.path);
  if (file.deleted) {
    entry.deleted = true;
    return;
  }
  // The end of a connection shows its listener's name, and its file is the listener's.
  if (entry.state === STATE.ESTABLISHED && entry.type !== SOCK_DGRAM) return;
  const isThere = path.startsWith('/') ? leadsTo(path, file) : entry.name_dir !== undefined;
  // Renamed since it was bound, or another root then.
  if (!isThere) entry.crts!.path = file.path;
  if (file.nlink > 1)
    context.log.warn(
      { ...subject, path: file.path },
      'the other hard links to the file of this socket will not lead to it any more',
    );
}

const ALL_PERMISSIONS = 0o777;

function addOwner({ crts }: UnixSkEntry, { uid, gid, mode }: FdFacts): void {
  if (uid !== 0) crts!.uid = uid;
  if (gid !== 0) crts!.gid = gid;
  if ((mode & 0o7777) !== ALL_PERMISSIONS) crts!.mode = mode & 0o7777;
}

/** SO_PEERCRED: who made the connection; all bits set where there is none. */
function addCredentials(entry: UnixSkEntry, local: number): void {
  const credentials = getOption(local, SO_PEERCRED, 12);
  if (credentials === undefined || credentials.readUInt32LE(4) === 0xffff_ffff) return;
  entry.crts!.cred_pid = credentials.readUInt32LE(0);
  entry.crts!.cred_uid = credentials.readUInt32LE(4);
  entry.crts!.cred_gid = credentials.readUInt32LE(8);
}

function dumpQueue(fd: FdFacts, entry: UnixSkEntry, events: number, context: FdDumpContext): void {
  const subject = { pid: fd.pid, fd: fd.fd };
  const inFlight = Number(/^scm_fds:\s*(\d+)/m.exec(fd.fdinfo)?.[1] ?? 0);
  // A socket that is in flight itself has no number by which the agent could look.
  const isHere = inFlight > 0 || fd.fd < 0;
  if (isHere && !isStill(context.task)) return;
  const waiting = new Int32Array(1);
  rawSyscall('ioctl', fd.local, SIOCINQ, waiting);
  const queue = {
    ...subject,
    local: fd.local,
    type: entry.type,
    shutdown: entry.shutdown ?? 0,
    events,
    waitingBytes: Math.max(0, waiting[0]!),
    peekOffset: getOption(fd.local, SO_PEEK_OFF)?.readInt32LE(0) ?? -1,
    passesCredentials: entry.opts.so_passcred === true,
    passesProcesses: (getOption(fd.local, SO_PASSPIDFD)?.readInt32LE(0) ?? 0) !== 0,
    // Whatever is in the queue, a mark too, makes it readable.
    urgent: entry.type === SOCK_STREAM && (events & POLL.IN) !== 0 ? urgencyOf(fd.local, events) : NOT_URGENT,
  };
  const seen = peekQueue(queue, isHere ? lookHere : lookInside(context.task));
  const sender = entry.peer === 0 ? undefined : dumpOf(context).all.get(entry.peer);
  const messages = entry.type === SOCK_STREAM ? separate(seen, sender?.writeQueue) : seen;
  if (messages.length > 0) dumpOf(context).filled.add(entry.ino);
  const rights = messages.reduce((sum, message) => sum + message.rights.length, 0);
  for (const { data, sender, credentials, urgent, rights: locals } of messages) {
    // A stream's sender is its peer.
    const crts = { sender: entry.type === SOCK_DGRAM ? sender : undefined, ...credentials, urgent };
    const value = { id_for: context.id, length: data.length, scm: [] as ScmEntry[], crts };
    context.addItem('sk-queues', { value, extra: data });
    if (locals.length === 0) continue;
    const ids = locals.map((local) => context.addInFlight(local));
    context.afterAll(() => value.scm.push({ type: SCM_RIGHTS, rights: ids.map((id) => id()) }));
  }
  if (rights !== inFlight) throw descriptorsInFlight(subject, inFlight - rights);
}

/** The other end is closed, or this one waits to be accepted: `endSockets` tells which. */
function addClosedPeer(entry: UnixSkEntry, local: number, events: number): void {
  const crts = entry.crts!;
  crts.peer_gone = true;
  if ((events & POLL.ERR) !== 0) crts.pending_error = true;
  const address = Buffer.alloc(SUN_ROOM);
  const length = new Int32Array([SUN_ROOM]);
  if (rawSyscall('getpeername', local, address, length) === 0 && length[0]! > 2)
    crts.peer_name = Buffer.from(address.subarray(2, length[0]));
}

/** poll(2) asks without side effect: sk_err and the queue stay as they are. */
function pollEvents(local: number): number {
  const pollfd = Buffer.alloc(8);
  pollfd.writeInt32LE(local, 0);
  pollfd.writeInt16LE(POLL.IN | POLL.PRI, 4);
  return rawSyscall('poll', pollfd, 1, 0) > 0 ? pollfd.readInt16LE(6) : 0;
}

/** What all sockets together tell: every peer is in the images, and every waiting connection is one that can be made again. */
function endSockets(dump: Dump): void {
  const listenerOf = new Map<number, SocketFacts>();
  for (const facts of dump.all.values())
    for (const client of facts.waiting) if (client !== 0) listenerOf.set(client, facts);
  for (const one of dump.dumped.values()) {
    const { entry, facts } = one;
    const listener = listenerOf.get(entry.ino);
    if (entry.peer !== 0) checkPeer(one, dump);
    else if (listener !== undefined) endWaiting(one, listener, dump);
    for (const client of facts.waiting) {
      if (client === 0) throw waitingClosed(one.subject, entry.ino);
      if (!dump.dumped.has(client)) throw outsideClient(one.subject, entry.ino, client, holderOf(client));
    }
  }
  dump.context.orderRecords(peersFirst(dump));
}

/** CRIU finds the peer of a socket only among the entries before it, unless each is the other's: try_resolve_unix_peer(). */
function peersFirst({ dumped, outside }: Dump): number[] {
  const ids = new Set<number>();
  const met = new Set<number>();
  for (const [ino] of dumped) {
    const chain: number[] = [];
    for (
      let next: number | undefined = ino;
      next !== undefined && !met.has(next);
      next = dumped.get(next)?.entry.peer
    ) {
      met.add(next);
      chain.unshift(next);
    }
    for (const one of chain) {
      const id = dumped.get(one)?.entry.id ?? outside.get(one);
      if (id !== undefined) ids.add(id);
    }
  }
  return [...ids];
}

/** A datagram socket finds its peer again by name; other connections are left to others on purpose alone. */
function leaveOutside(entry: UnixSkEntry, subject: Dumped['subject'], peer: number, dump: Dump): void {
  const { options, log } = dump.context;
  const facts = dump.all.get(peer);
  const isFound = entry.type === SOCK_DGRAM && facts?.name !== undefined;
  const isExternal = ['unix', 'socket'].some((kind) => options.external?.has(kind, String(entry.ino)));
  if (!isFound && !isExternal) throw outsidePeer(subject, entry.ino, peer, holderOf(peer));
  const name = facts?.name ?? Buffer.alloc(0);
  log.info({ ...subject, ino: entry.ino, peer }, `its peer ${showName(name)} is outside the tree`);
  if (dump.filled.has(entry.ino) && !isFound)
    log.warn({ ...subject, ino: entry.ino }, 'what waits in the socket is lost: only its peer could send it again');
  if (dump.outside.has(peer)) return;
  dump.outside.set(
    peer,
    dump.context.addRecord((id) => outsideRecord(id, peer, name)),
  );
}

/** As CRIU writes it. */
function outsideRecord(id: number, ino: number, name: Buffer): FileRecord {
  const value: UnixSkEntry = {
    id,
    ino,
    type: SOCK_DGRAM,
    state: STATE.LISTEN,
    flags: 0,
    uflags: USK_EXTERN,
    backlog: 0,
    peer: 0,
    fown: { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 },
    opts: {
      so_sndbuf: 0,
      so_rcvbuf: 0,
      so_snd_tmo_sec: 0n,
      so_snd_tmo_usec: 0n,
      so_rcv_tmo_sec: 0n,
      so_rcv_tmo_usec: 0n,
      so_filter: [],
    },
    name,
  };
  return { type: FD_TYPE_UNIXSK, field: 'usk', value: value as unknown as Record<string, unknown> };
}

function checkPeer({ entry, subject }: Dumped, dump: Dump): void {
  const peer = dump.dumped.get(entry.peer);
  if (peer === undefined) {
    leaveOutside(entry, subject, entry.peer, dump);
    return;
  }
  if (peer.entry.peer === entry.ino || peer.entry.name.length > 0) return;
  // One sender can be made with it, as a pair that the other end has left.
  const senders = [...dump.dumped.values()].filter((one) => one.entry.peer === entry.peer);
  if (senders.length > 1) throw unreachable(subject, entry.ino, entry.peer);
}

function endWaiting({ entry, facts, subject }: Dumped, listener: SocketFacts, dump: Dump): void {
  if (!dump.dumped.has(listener.ino)) leaveOutside(entry, subject, listener.ino, dump);
  if (facts.writeQueue > 0) throw waitingData(subject, entry.ino);
  // As the format has it: connected to the listener itself.
  entry.peer = listener.ino;
  // Its peer is one that nobody has yet, so nobody can say who connected.
  entry.crts!.maker_pid = subject.pid;
  entry.crts!.peer_gone = undefined;
  entry.crts!.peer_name = undefined;
}

/** Who has a socket open, for an error. */
function holderOf(ino: number): string {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        if (readlinkSync(`/proc/${pid}/fd/${fd}`) !== `socket:[${ino}]`) continue;
        return `is open in process ${pid} (${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()}), outside the dumped tree`;
      }
    } catch {
      // It ended meanwhile.
    }
  }
  return 'no process of the dumped tree has open';
}
