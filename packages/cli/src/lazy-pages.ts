/** `crts lazy-pages`, and what a lazy restore needs of it. Loaded when needed. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, unlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type LazyPages, pageStoreOf } from '@crts/core-pstree';
import { ImageReader, type PlainPages } from '@crts/image-io';
import { RemoteSupply, serveLazily } from '@crts/lazy-pages';
import {
  acceptConnection,
  closeFd,
  limitReceiveSeconds,
  memfd,
  POLL,
  poll,
  pwriteFull,
  receiveFull,
  SyscallError,
  sendFull,
  sendMessage,
  streamPair,
  syscall,
  unixConnect,
  unixListen,
  unixPeerName,
} from '@crts/native-syscalls';
import { type Connection, Progress } from '@crts/page-xfer';
import type { CrtsError } from '@crts/plugin-api';
import { cannotListen, lazyServerGone } from './errors';
import type { Parsed } from './parse';
import { type Directories, type EngineOptions, last } from './run';
import { connectServer, descriptorOption, inBackground, tellReady } from './transfer';

const NAME = 'lazy-pages.socket';
/** How crts names it for bind(2), and CRIU does not: by that a restore knows a server that guards its programs. */
const NAMED_BY_CRTS = '/proc/self/fd/';
/** LAZY_PAGES_RESTORE_FINISHED of CRIU. */
const FINISHED = 0x5253_5446;
/** For a server of our own to start and to take over. */
const START_S = 60;
const F_DUPFD_CLOEXEC = 1030;

/** Serves one restore. */
export async function lazyPages(
  parsed: Parsed,
  { images, work }: Directories,
  options: EngineOptions,
  plain?: PlainPages,
): Promise<void> {
  const { log, plugins } = options;
  const control = descriptorOption(parsed, 'control-fd');
  const reader = ImageReader.open(images, plain?.files);
  let connection: Connection | undefined;
  let isNamed = false;
  try {
    let listener: number | undefined;
    if (control === undefined) {
      listener = descriptorOption(parsed, 'listen-fd') ?? listenIn(work);
      isNamed = true;
      if (parsed.switches.has('restore-detached')) {
        inBackground(parsed, work, listener);
        isNamed = false;
        closeFd(listener);
        return;
      }
    }
    if (parsed.switches.has('page-server')) connection = await connectServer(parsed);
    tellReady(parsed);
    const socket = control ?? acceptOnce(listener!, work);
    isNamed = false;
    const served = serveLazily({
      reader,
      pages: pageStoreOf(plugins),
      socket,
      supply: connection === undefined ? undefined : new RemoteSupply(connection),
      plain,
      log,
      progress: Progress.onTerminal('brought'),
    });
    closeFd(socket);
    log.info({ faults: served.faults, pages: Number(served.pages) }, 'all memory is in place');
  } finally {
    if (isNamed) withName(work, (name) => unlinkSync(name));
    connection?.end?.();
    if (connection !== undefined && connection.isBorrowed !== true) closeFd(connection.socket);
    reader.close();
    plain?.close();
  }
}

/** The name is relative to a descriptor: a socket's may have 107 bytes. */
function withName<T>(work: string, action: (name: string) => T): T {
  const directory = openSync(work, 'r');
  try {
    return action(`${NAMED_BY_CRTS}${directory}/${NAME}`);
  } finally {
    closeSync(directory);
  }
}

function listenIn(work: string): number {
  try {
    return withName(work, (name) => {
      try {
        // Of a server that was killed, as CRIU does.
        unlinkSync(name);
      } catch {
        // There is none.
      }
      return unixListen(name);
    });
  } catch (error) {
    if (error instanceof SyscallError) throw cannotListen(join(work, NAME), error.errno);
    throw error;
  }
}

function acceptOnce(listener: number, work: string): number {
  const { socket } = acceptConnection(listener);
  closeFd(listener);
  withName(work, (name) => unlinkSync(name));
  return socket;
}

/** The restore's end of the line. */
class LazyLink implements LazyPages {
  readonly #socket: number;
  /** Duplicates: until the server guards the programs, they wait for missing pages as long as this process lives. */
  readonly #held: number[] = [];
  /** CRIU's does not. */
  readonly #guards: boolean;

  constructor(
    socket: number,
    readonly isOwn: boolean,
  ) {
    this.#socket = socket;
    this.#guards = isOwn || unixPeerName(socket).startsWith(NAMED_BY_CRTS);
    limitReceiveSeconds(socket, START_S);
  }

  handOver(pid: number, uffd: number, pidfd: number, missing: Parameters<LazyPages['handOver']>[3]): void {
    this.#send(pid);
    const list = this.isOwn ? listOf(missing) : undefined;
    try {
      // CRIU's server has room for one descriptor.
      const fds = [uffd, ...(this.#guards ? [pidfd] : []), ...(list === undefined ? [] : [list])];
      if (!sendMessage(this.#socket, Buffer.alloc(1), fds)) throw lazyServerGone('EPIPE');
    } finally {
      if (list !== undefined) closeFd(list);
    }
    if (this.#guards) this.#held.push(syscall('fcntl', uffd, F_DUPFD_CLOEXEC, 0));
  }

  dead(pid: number): void {
    this.#send(-pid);
  }

  /** One that waited for us takes over at once. One that died on the way would leave tasks, and us with them, waiting for a page. */
  allHandedOver(): void {
    if (this.#guards && !this.isOwn) this.#waitForGuard();
  }

  /** The tree runs already while a server of our own starts: one that does not come is the end of both. */
  finished(): void {
    this.#send(FINISHED);
    if (this.isOwn) this.#waitForGuard();
  }

  #waitForGuard(): void {
    this.#guard(() => {
      if (!receiveFull(this.#socket, Buffer.alloc(1))) throw lazyServerGone(undefined);
    });
  }

  /** What a task has died of: of the server's death, if that has hung up. */
  explain(error: CrtsError): CrtsError {
    const [ready] = poll([{ fd: this.#socket, events: POLL.peerClosed }], 0);
    return (ready! & POLL.peerClosed) === 0 ? error : lazyServerGone(undefined);
  }

  close(): void {
    for (const fd of this.#held) closeFd(fd);
    closeFd(this.#socket);
  }

  #send(word: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(word);
    this.#guard(() => sendFull(this.#socket, bytes));
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      throw error instanceof SyscallError ? lazyServerGone(error.errno) : error;
    }
  }
}

/** A memfd with first and last address of each stretch: what is missing may be much, and a message takes little. */
function listOf(missing: readonly { readonly start: bigint; readonly end: bigint }[]): number {
  const words = BigUint64Array.from(missing.flatMap(({ start, end }) => [start, end]));
  const fd = memfd('crts-missing', words.byteLength);
  if (words.length > 0) pwriteFull(fd, Buffer.from(words.buffer), 0n);
  return fd;
}

/** Connects with the server that waits in the work directory, or starts one. */
export function lazyLink(parsed: Parsed, { images, work }: Directories): LazyLink {
  const waiting = withName(work, unixConnect);
  if (waiting !== undefined) return new LazyLink(waiting, false);
  const [own, theirs] = streamPair();
  try {
    const log = last(parsed, 'log-file');
    const logging = log === undefined || log === '-' ? [] : ['-o', 'lazy-pages.log', `-v${parsed.verbosity}`];
    const plugins = (parsed.values.get('plugin') ?? []).flatMap((name) => ['--plugin', name]);
    const args = ['lazy-pages', '-D', resolve(images), '-W', resolve(work), ...logging, ...plugins];
    const child = spawn(process.execPath, [process.argv[1]!, ...args, '--control-fd', '3'], {
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', theirs],
    });
    child.unref();
    return new LazyLink(own, true);
  } finally {
    closeFd(theirs);
  }
}
