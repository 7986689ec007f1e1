/** Takes the pages of a dump into an image set: from the socket through a pipe into the files, never through JavaScript. */
import { closeSync, ftruncateSync, openSync, readlinkSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { ImageReader, ImageWriter } from '@crts/image-io';
import {
  closeFd,
  errnoName,
  POLL,
  poll,
  preallocate,
  rawSyscall,
  receiveFull,
  SyscallError,
  sendFull,
  syscall,
} from '@crts/native-syscalls';
import {
  badRange,
  badRecord,
  COMMAND,
  type Connection,
  connectionLost,
  cutOff,
  decodeOwner,
  decodeRecord,
  entryFlags,
  PAGE,
  type PageRecord,
  type Progress,
  RECORD_BYTES,
} from '@crts/page-xfer';
import type { Logger, PageOwner, PageSource, PageStore } from '@crts/plugin-api';
import { cannotStore, notInParent } from './errors';
import { KNOWN_FLAGS, PagemapFile } from './pagemap-file';

const PAGE_BYTES = 4096n;
const PIPE_BYTES = 1024 * 1024;
const F_SETPIPE_SZ = 1031;
const F_GETPIPE_SZ = 1032;
const O_CLOEXEC = 0o2000000;
const EINTR = 4;
const EAGAIN = 11;
/** Blocks are reserved so far ahead of what has come: the peer's word alone fills no disk. */
const AHEAD_BYTES = 64 * 1024 * 1024;
/** Objects of one dump: pid_max and then some. */
const OWNERS_MAX = 8 * 1024 * 1024;
/** Behind the ids of pages images that the dump itself may make, as CRIU's server does: up_page_ids_base(). */
const PAGES_ID_BASE = 0x10001;
const LINK = 'parent';
/** For a peer to close its end, so that this side keeps no TIME_WAIT. */
const GOODBYE_MS = 5000;
const FALLOC_FL_PUNCH_HOLE_KEEP_SIZE = 3;

export interface ReceiveOptions {
  readonly imagesDir: string;
  /** Meant from the images directory. */
  readonly prevImagesDir: string | undefined;
  /** Pages that come anew are dropped from the parent sets. */
  readonly autoDedup: boolean;
  readonly pages: PageStore;
  readonly log: Logger;
  readonly progress?: Progress | undefined;
}

export interface Received {
  readonly owners: number;
  readonly bytes: bigint;
}

/** Serves one dump. Throws CrtsError; then nothing is stored. */
export function receivePages(connection: Connection, options: ReceiveOptions): Received {
  const writer = ImageWriter.open(options.imagesDir);
  const intake = new Intake(connection, options, writer);
  let isDone = false;
  try {
    linkParent(options);
    intake.run();
    isDone = true;
    return { owners: intake.owners, bytes: intake.bytes };
  } finally {
    intake.close();
    if (isDone) writer.close();
    else writer.abort();
    options.progress?.end();
  }
}

function linkParent({ imagesDir, prevImagesDir }: ReceiveOptions): void {
  if (prevImagesDir === undefined) return;
  const path = join(imagesDir, LINK);
  try {
    if (readlinkSync(path) === prevImagesDir) return;
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  symlinkSync(prevImagesDir, path);
}

/** What pages are stored for at the moment. */
interface Store {
  readonly dst: bigint;
  readonly name: string;
  readonly pagemap: PagemapFile;
  readonly fd: number;
  readonly parent: PageSource | undefined;
  written: number;
  reserved: number;
}

class Intake {
  readonly #socket: number;
  readonly #peer: string;
  readonly #reason: () => string | undefined;
  readonly #options: ReceiveOptions;
  readonly #writer: ImageWriter;
  readonly #pipe = new Int32Array(2);
  readonly #pipeBytes: number;
  readonly #seen = new Set<bigint>();
  readonly #writable = new Map<number, number>();
  #set: ImageReader | undefined;
  #store: Store | undefined;
  #isBorrowed: boolean;
  bytes = 0n;

  constructor({ socket, peer, reason, isBorrowed = false }: Connection, options: ReceiveOptions, writer: ImageWriter) {
    this.#socket = socket;
    this.#peer = peer;
    this.#reason = () => reason?.();
    this.#isBorrowed = isBorrowed;
    this.#options = options;
    this.#writer = writer;
    syscall('pipe2', this.#pipe, O_CLOEXEC);
    rawSyscall('fcntl', this.#pipe[1]!, F_SETPIPE_SZ, PIPE_BYTES);
    this.#pipeBytes = syscall('fcntl', this.#pipe[1]!, F_GETPIPE_SZ);
  }

  get owners(): number {
    return this.#seen.size;
  }

  run(): void {
    const bytes = Buffer.alloc(RECORD_BYTES);
    for (;;) {
      if (!this.#receive(bytes)) throw cutOff(this.#peer, 'before it said that all was sent', this.#reason());
      const record = decodeRecord(bytes);
      if (record.command === COMMAND.close || record.command === COMMAND.forceClose) break;
      this.#obey(record);
    }
    this.#finishStore();
    // What is acknowledged is under its name.
    this.#writer.publish();
    this.#answer(Buffer.alloc(4));
    if (!this.#isBorrowed) poll([{ fd: this.#socket, events: POLL.in | POLL.peerClosed }], GOODBYE_MS);
  }

  close(): void {
    closeFd(this.#pipe[0]!);
    closeFd(this.#pipe[1]!);
    for (const fd of this.#writable.values()) closeSync(fd);
    this.#set?.close();
  }

  #obey(record: PageRecord): void {
    switch (record.command) {
      case COMMAND.open:
        this.#open(record.dst);
        break;
      case COMMAND.open2:
        this.#answer(Buffer.from([this.#open(record.dst).parent === undefined ? 0 : 1]));
        break;
      case COMMAND.parent: {
        const answer = Buffer.alloc(4);
        const { owner, id } = this.#ownerOf(record.dst);
        answer.writeInt32LE(this.#parentSet()?.has(owner, id) === true ? 1 : 0);
        this.#answer(answer);
        break;
      }
      case COMMAND.add:
      case COMMAND.hole:
      case COMMAND.addFlags:
        this.#add(record);
        break;
      default:
        throw badRecord(this.#peer, `command ${record.command} is none that a dump sends`);
    }
  }

  #ownerOf(dst: bigint): { readonly owner: PageOwner; readonly id: number } {
    const owner = decodeOwner(dst);
    if (owner === undefined) throw badRecord(this.#peer, `0x${dst.toString(16)} names neither a task nor an object`);
    return owner;
  }

  #open(dst: bigint): Store {
    const { owner, id } = this.#ownerOf(dst);
    if (this.#seen.has(dst)) throw badRecord(this.#peer, `${owner}-${id} is sent twice`);
    if (this.#seen.size === OWNERS_MAX) throw badRecord(this.#peer, `more than ${OWNERS_MAX} images`);
    this.#finishStore();
    this.#seen.add(dst);
    const pagesId = PAGES_ID_BASE + this.#seen.size - 1;
    this.#store = {
      dst,
      name: `${owner}-${id}.img`,
      pagemap: new PagemapFile(this.#writer, owner, id, pagesId),
      fd: this.#writer.rawFd('pages', pagesId),
      parent: this.#openParent(owner, id),
      written: 0,
      reserved: 0,
    };
    return this.#store;
  }

  #openParent(owner: PageOwner, id: number): PageSource | undefined {
    const set = this.#parentSet();
    if (set?.has(owner, id) !== true) return undefined;
    const { pages } = this.#options;
    return owner === 'pagemap' ? pages.open(id, set) : pages.openShared(id, set);
  }

  /** Looked for when it is needed: a dump that stores in the same directory makes the link when it begins. */
  #parentSet(): ImageReader | undefined {
    this.#set ??= ImageReader.openParts(this.#options.imagesDir);
    return this.#set.parent();
  }

  #add(record: PageRecord): void {
    // CRIU before 1.3 opened nothing.
    const store = this.#store?.dst === record.dst ? this.#store : this.#open(record.dst);
    const flags = entryFlags(record);
    const { pagemap, parent, name } = store;
    const { vaddr: start } = record;
    const bad = badRange(record);
    if (bad !== undefined) throw badRecord(this.#peer, bad);
    if ((flags & ~KNOWN_FLAGS) !== 0 || flags === 0)
      throw badRecord(this.#peer, `flags 0x${flags.toString(16)} have no meaning`);
    if (start < pagemap.end) throw badRecord(this.#peer, `pages at 0x${start.toString(16)} overlap those before`);
    const end = start + record.pages * PAGE_BYTES;
    const isPresent = (flags & PAGE.present) !== 0;
    if (!isPresent && (flags & PAGE.parent) !== 0 && !has(parent, start, end)) throw notInParent(name, start, end);
    if (isPresent && this.#options.autoDedup && parent !== undefined) this.#dedup(parent, start, end);
    pagemap.add(start, end, flags);
    if (isPresent) this.#take(store, end - start);
  }

  /** The bytes behind a record. */
  #take(store: Store, lengthBytes: bigint): void {
    for (let left = lengthBytes; left > 0n; ) {
      const wanted = left < BigInt(this.#pipeBytes) ? Number(left) : this.#pipeBytes;
      if (store.written + wanted > store.reserved) this.#reserve(store, left);
      const came = this.#splice(this.#socket, this.#pipe[1]!, wanted);
      if (came < 0) throw connectionLost(this.#peer, 'receiving pages', errnoName(-came));
      if (came === 0) throw cutOff(this.#peer, 'in the middle of pages', this.#reason());
      for (let out = came; out > 0; ) {
        const wrote = this.#splice(this.#pipe[0]!, store.fd, out);
        if (wrote <= 0) throw this.#cannotStore('splice', errnoName(-wrote));
        out -= wrote;
      }
      store.written += came;
      left -= BigInt(came);
      this.bytes += BigInt(came);
      this.#options.progress?.add(BigInt(came));
    }
  }

  /** Reserved blocks are written several times faster on ext4 (docs/performance.md). */
  #reserve(store: Store, left: bigint): void {
    // Small pieces: as much again as there is.
    const wanted = Math.max(Number(left), store.written);
    const ahead = Math.min(wanted, AHEAD_BYTES);
    try {
      preallocate(store.fd, BigInt(store.written + ahead));
    } catch (error) {
      throw this.#cannotStore('fallocate', (error as { errno?: string }).errno);
    }
    store.reserved = store.written + ahead;
  }

  #splice(from: number, to: number, lengthBytes: number): number {
    for (;;) {
      const result = rawSyscall('splice', from, null, to, null, lengthBytes, 0);
      if (result === -EINTR) continue;
      if (result === -EAGAIN) {
        poll([{ fd: from, events: POLL.in }], -1);
        continue;
      }
      return result;
    }
  }

  /** Pages that a newer set has are read from no older one any more. */
  #dedup(parent: PageSource, start: bigint, end: bigint): void {
    for (const { file, fileOffset, lengthBytes } of parent.runs(start, end)) {
      const fd = parent.files[file]!;
      const writable = this.#writable.get(fd) ?? openSync(`/proc/self/fd/${fd}`, 'r+');
      this.#writable.set(fd, writable);
      const result = rawSyscall('fallocate', writable, FALLOC_FL_PUNCH_HOLE_KEEP_SIZE, fileOffset, lengthBytes);
      if (result < 0) throw this.#cannotStore('fallocate(FALLOC_FL_PUNCH_HOLE)', errnoName(-result));
    }
  }

  #finishStore(): void {
    const store = this.#store;
    this.#store = undefined;
    if (store === undefined) return;
    store.pagemap.finish();
    ftruncateSync(store.fd, store.written);
  }

  #receive(bytes: Buffer): boolean {
    return this.#guard('waiting for records', () => receiveFull(this.#socket, bytes));
  }

  #answer(bytes: Buffer): void {
    this.#guard('answering', () => sendFull(this.#socket, bytes));
  }

  #guard<T>(during: string, action: () => T): T {
    try {
      return action();
    } catch (error) {
      if (error instanceof SyscallError) throw connectionLost(this.#peer, during, error.errno);
      throw error;
    }
  }

  #cannotStore(call: string, errno: string | undefined) {
    return cannotStore(this.#options.imagesDir, call, errno);
  }
}

function has(parent: PageSource | undefined, start: bigint, end: bigint): boolean {
  const found = parent?.runs(start, end) ?? [];
  return found.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0n) === end - start;
}
