import { existsSync } from 'node:fs';
import type { SkPacketEntry, UnixSkEntry } from '@crts/image-io';
import type { Credentials } from '@crts/native-syscalls';
import type { FdPlanContext, FileRecord, ImageItem, Logger } from '@crts/plugin-api';
import { badPacket, badPeer, badSocket } from './errors';
import { furtherOptionName, isFilterTooLong, OPTION_BYTES_MAX } from './options';
import { SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, STATE, UNIX_PATH_MAX, USK_EXTERN } from './sockets';
import { URGENT } from './urgent';

export type CrtsSocketOption = { readonly name: number; readonly value: Uint8Array };

/** A message of a queue as the image has it. */
export interface Message {
  readonly data: Buffer;
  /** Name of the socket that sent it. */
  readonly sender?: Buffer | undefined;
  readonly credentials?: Credentials | undefined;
  /** Ids of the descriptions that it brings. */
  readonly rights: readonly number[];
  /** `URGENT` of urgent.ts. */
  readonly urgent?: number | undefined;
}

/** A socket of the images with its queue. */
export interface Socket {
  readonly entry: UnixSkEntry;
  readonly name: Buffer;
  readonly queue: readonly Message[];
}

/** All UNIX sockets of an image set, by inode, validated. */
export interface SocketSet {
  readonly byIno: ReadonlyMap<number, Socket>;
  readonly byId: ReadonlyMap<number, Socket>;
}

const sets = new WeakMap<object, SocketSet>();

/** Reads and validates them once for each restore. */
export function socketSet(context: FdPlanContext): SocketSet {
  const known = sets.get(context.files);
  if (known !== undefined) return known;
  const alive = new Set(
    context
      .items('pstree')
      .flatMap(({ value }) => [Number(value.pid), ...((value.threads as number[] | undefined) ?? [])]),
  );
  // SCM_CREDENTIALS must name a process that is there: scm_check_creds(), net/core/scm.c.
  const isAlive = (pid: number) => alive.has(pid) || existsSync(`/proc/${pid}`);
  const set = readSockets(context.records('usk'), context.items('sk-queues'), isAlive, context.log);
  sets.set(context.files, set);
  return set;
}

function readSockets(
  records: readonly FileRecord[],
  packets: readonly ImageItem[],
  isAlive: (pid: number) => boolean,
  log: Logger,
): SocketSet {
  const byIno = new Map<number, Socket>();
  const byId = new Map<number, Socket>();
  const queues = new Map<number, Message[]>();
  for (const { value } of records) {
    const entry = value as unknown as UnixSkEntry;
    validate(entry);
    if (byIno.has(entry.ino)) throw badPeer(entry.id, `another socket has inode ${entry.ino} too`);
    const queue: Message[] = [];
    queues.set(entry.id, queue);
    const socket = { entry, name: Buffer.from(entry.name), queue };
    byIno.set(entry.ino, socket);
    byId.set(entry.id, socket);
  }
  packets.forEach((item, index) => {
    const packet = item.value as unknown as SkPacketEntry;
    const queue = queues.get(packet.id_for);
    // Sockets of other families have queues in the same image.
    if (queue === undefined) return;
    const one = message(packet, item.extra, index);
    const pid = one.credentials?.pid ?? 0;
    const isKnown = pid !== 0 && isAlive(pid);
    if (pid !== 0 && !isKnown)
      log.warn({ pid, file: packet.id_for }, 'the sender of a message is gone: its credentials are lost');
    queue.push(isKnown ? one : { ...one, credentials: undefined });
  });
  for (const socket of byIno.values()) checkPeer(socket, byIno);
  return { byIno, byId };
}

const MESSAGE_BYTES_MAX = 900 * 1024;
/** SCM_MAX_FD, include/net/scm.h. */
const RIGHTS_MAX = 253;
const SCM_RIGHTS = 1;

function message(packet: SkPacketEntry, extra: Buffer | undefined, index: number): Message {
  const data = extra ?? Buffer.alloc(0);
  if (data.length !== packet.length) throw badPacket(index, `${data.length} bytes instead of ${packet.length}`);
  const rights: number[] = [];
  for (const scm of packet.scm) {
    if (scm.type !== SCM_RIGHTS) throw badPacket(index, `a control message of type ${scm.type}`);
    rights.push(...scm.rights);
  }
  if (rights.length > RIGHTS_MAX) throw badPacket(index, `${rights.length} descriptors`);
  const { crts } = packet;
  const urgent = crts?.urgent;
  if (urgent !== undefined && data.length !== URGENT_BYTES[urgent])
    throw badPacket(index, `${data.length} urgent bytes of kind ${urgent}`);
  if (crts?.sender !== undefined && crts.sender.length > UNIX_PATH_MAX + 1)
    throw badPacket(index, 'the name of its sender is too long');
  return {
    data,
    rights,
    urgent,
    sender: crts?.sender === undefined ? undefined : Buffer.from(crts.sender),
    credentials: crts?.pid === undefined ? undefined : { pid: crts.pid, uid: crts.uid ?? 0, gid: crts.gid ?? 0 },
  };
}

const URGENT_BYTES: Readonly<Record<number, number>> = { [URGENT.WAITS]: 1, [URGENT.READ]: 0 };

const PATH_MAX = 4096;

function validate(entry: UnixSkEntry): void {
  const { id, type, state, name, shutdown, opts, crts } = entry;
  if (![SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET].includes(type)) throw badSocket(id, `type ${type}`);
  if (!Object.values<number>(STATE).includes(state)) throw badSocket(id, `state ${state}`);
  if (state === STATE.LISTEN && type === SOCK_DGRAM && (entry.uflags & USK_EXTERN) === 0)
    throw badSocket(id, 'a datagram socket that listens');
  // A path of 108 bytes has its NUL behind the array: unix_mkname_bsd(), net/unix/af_unix.c.
  if (name.length > UNIX_PATH_MAX + 1) throw badSocket(id, `a name of ${name.length} bytes`);
  if (name.length > 0 && name[0] !== 0) {
    const end = name.indexOf(0);
    if (end >= 0 && end !== name.length - 1) throw badSocket(id, 'a path with a NUL inside');
  }
  if (entry.name_dir !== undefined && (!entry.name_dir.startsWith('/') || entry.name_dir.includes('\0')))
    throw badSocket(id, `"${entry.name_dir}" is no directory`);
  const path = crts?.path;
  if (
    path !== undefined &&
    (!path.startsWith('/') || path.endsWith('/') || path.includes('\0') || path.length > PATH_MAX)
  )
    throw badSocket(id, `"${path}" is no path of a file`);
  if ((crts?.mode ?? 0) > 0o7777) throw badSocket(id, `permissions 0${crts!.mode!.toString(8)}`);
  if (shutdown !== undefined && shutdown > 3) throw badSocket(id, `shutdown ${shutdown}`);
  if (isFilterTooLong(opts.so_filter)) throw badSocket(id, `a filter of ${opts.so_filter.length} instructions`);
  if ((opts.so_bound_dev ?? '').length > 15) throw badSocket(id, 'the name of a device is too long');
  for (const option of crts?.options ?? [])
    if (furtherOptionName(option.name) === undefined || option.value.length > OPTION_BYTES_MAX)
      throw badSocket(id, `option ${option.name} with ${option.value.length} bytes`);
}

function checkPeer({ entry, queue }: Socket, byIno: ReadonlyMap<number, Socket>): void {
  for (const one of queue)
    if (entry.type !== SOCK_STREAM && one.data.length > MESSAGE_BYTES_MAX)
      throw badSocket(entry.id, `a message of ${one.data.length} bytes`);
  if (entry.type !== SOCK_STREAM && queue.some(({ urgent }) => urgent !== undefined))
    throw badSocket(entry.id, 'an urgent byte in a socket that is no stream');
  if (queue.length > 0 && entry.state === STATE.LISTEN) throw badSocket(entry.id, 'a listening socket with messages');
  if (entry.peer === 0) return;
  const peer = byIno.get(entry.peer);
  if (peer === undefined) throw badPeer(entry.id, `its peer ${entry.peer} is not in the images`);
  const isOutside = (peer.entry.uflags & USK_EXTERN) !== 0;
  if (peer.entry.type !== entry.type && !isOutside)
    throw badPeer(entry.id, `its peer ${entry.peer} is of another type`);
  if (entry.type === SOCK_DGRAM) return;
  if (entry.state !== STATE.ESTABLISHED) throw badPeer(entry.id, 'it has a peer and is not connected');
  const isMutual = peer.entry.peer === entry.ino && peer.entry.ino !== entry.ino;
  if (!isMutual && peer.entry.state !== STATE.LISTEN)
    throw badPeer(entry.id, `its peer ${entry.peer} is connected elsewhere`);
}
