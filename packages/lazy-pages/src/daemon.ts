/** Serves what restored programs miss: faults at once, the rest in the background. */
import {
  closeFd,
  errnoName,
  POLL,
  poll,
  type UffdEvent,
  uffdCopy,
  uffdEvents,
  uffdWake,
  uffdZero,
} from '@crts/native-syscalls';
import type { Progress } from '@crts/page-xfer';
import type { Logger } from '@crts/plugin-api';
import { cannotFill, restorerGone } from './errors';
import type { LazyRanges } from './ranges';
import type { Supply } from './supply';

const PAGE_BYTES = 4096n;
/** What comes with a page that a program waits for: it lies there anyway, and is often next. */
const AHEAD_BYTES = 64n * 1024n;
/** In the background pieces grow while nobody waits: CRIU's bounds. */
const PIECE_MIN_BYTES = 64n * 1024n;
const PIECE_MAX_BYTES = 4n * 1024n * 1024n;
/** Scattered pages that somebody who waits may have to wait for. */
const PARTS_MAX = 64;
const ENOENT = 2;
const ESRCH = 3;
const EAGAIN = 11;
const EEXIST = 17;
const ENOSPC = 28;

export interface LazyTask {
  /** As the images have it; a forked child has that of its parent. */
  readonly pid: number;
  readonly uffd: number;
  readonly ranges: LazyRanges;
}

export interface Serving {
  readonly tasks: readonly LazyTask[];
  readonly supply: Supply;
  /** The restore's end of the line; undefined when it has finished already. */
  readonly control: { readonly fd: number; isFinished(): boolean } | undefined;
  readonly log: Logger;
  readonly progress?: Progress | undefined;
}

export interface Served {
  readonly faults: number;
  readonly pages: bigint;
}

/** A task while it is served. */
interface Client extends LazyTask {
  /** Faults that could not be served yet, because the address space was just changing. */
  waiting: bigint[];
}

export class LazyServer {
  readonly #serving: Serving;
  #clients: Client[];
  #isFinished: boolean;
  #piece = PIECE_MIN_BYTES;
  #faults = 0;
  #bytes = 0n;

  constructor(serving: Serving) {
    this.#serving = serving;
    this.#clients = serving.tasks.map((task) => ({ ...task, waiting: [] }));
    this.#isFinished = serving.control === undefined;
  }

  /** Until every program has all of its memory, or is gone. */
  run(): Served {
    for (;;) {
      if (this.#isFinished) this.#letGo();
      if (this.#clients.length === 0 && this.#isFinished) break;
      const isBusy = this.#isFinished || this.#clients.some(({ waiting }) => waiting.length > 0);
      const faulted = this.#look(isBusy ? 0 : -1);
      this.#retry();
      if (!this.#isFinished) continue;
      this.#piece = faulted ? PIECE_MIN_BYTES : grown(this.#piece);
      this.#background();
    }
    this.#serving.progress?.end();
    return { faults: this.#faults, pages: this.#bytes / PAGE_BYTES };
  }

  /** Takes what has happened; true when somebody waited for a page. */
  #look(milliseconds: number): boolean {
    const { control } = this.#serving;
    const clients = [...this.#clients];
    const fds = clients.map(({ uffd }) => ({ fd: uffd, events: POLL.in }));
    if (!this.#isFinished) fds.push({ fd: control!.fd, events: POLL.in });
    const ready = poll(fds, milliseconds);
    let faulted = false;
    for (const [index, client] of clients.entries()) {
      if ((ready[index]! & POLL.in) === 0) continue;
      for (const event of uffdEvents(client.uffd)) faulted = this.#obey(client, event) || faulted;
    }
    if (!this.#isFinished && ready[clients.length] !== 0) {
      if (!control!.isFinished()) throw restorerGone('it went away before it was done');
      this.#isFinished = true;
      this.#serving.progress?.expect(this.#clients.reduce((sum, { ranges }) => sum + ranges.bytes, 0n));
    }
    return faulted;
  }

  #obey(client: Client, event: UffdEvent): boolean {
    switch (event.kind) {
      case 'fault':
        this.#faults += 1;
        client.waiting.push(event.address - (event.address % PAGE_BYTES));
        return true;
      case 'fork':
        this.#clients.push({ pid: client.pid, uffd: event.fd, ranges: client.ranges.copy(), waiting: [] });
        this.#serving.progress?.expect(client.ranges.bytes);
        break;
      case 'remap':
        client.ranges.move(event.from, event.to, event.lengthBytes);
        break;
      default:
        client.ranges.drop(event.start, event.end);
    }
    return false;
  }

  #retry(): void {
    for (const client of [...this.#clients]) {
      const waiting = client.waiting;
      client.waiting = [];
      for (const address of waiting) this.#fault(client, address);
    }
  }

  #fault(client: Client, address: bigint): void {
    const range = client.ranges.at(address, AHEAD_BYTES);
    if (range !== undefined) {
      if (this.#fill(client, range) === EAGAIN) client.waiting.push(address);
      // Somebody else had asked for it and has it: who asked again still waits.
      else uffdWake(client.uffd, address, PAGE_BYTES);
      return;
    }
    const { errno } = uffdZero(client.uffd, address, PAGE_BYTES);
    if (errno === EAGAIN) client.waiting.push(address);
    else if (errno === EEXIST || errno === ENOENT) uffdWake(client.uffd, address, PAGE_BYTES);
    else if (errno === ESRCH || errno === ENOSPC) this.#gone(client);
    else if (errno !== 0) throw cannotFill(client.pid, address, 'UFFDIO_ZEROPAGE', errnoName(errno));
  }

  /** One piece, in as many parts as it is scattered. */
  #background(): void {
    let left = this.#piece;
    for (let parts = 0; parts < PARTS_MAX && left > 0n; parts++) {
      const client = this.#clients.find(({ ranges }) => !ranges.isEmpty);
      if (client === undefined) return;
      const { start } = client.ranges.first!;
      const range = client.ranges.at(start, left)!;
      left -= range.end - range.start;
      if (this.#fill(client, range) !== 0) return;
    }
  }

  /** Puts pages into place, as many as there are in one piece; EAGAIN when events have to be read first. */
  #fill(client: Client, { start, end, from }: { start: bigint; end: bigint; from: bigint }): number {
    const { address, lengthBytes } = this.#serving.supply.get(client.pid, from, end - start);
    for (let done = 0n; done < lengthBytes; ) {
      const at = start + done;
      const { bytes, errno } = uffdCopy(client.uffd, at, address + done, lengthBytes - done);
      client.ranges.drop(at, at + bytes);
      this.#count(bytes);
      done += bytes;
      if (errno === 0) break;
      if (errno === EAGAIN) {
        if (bytes > 0n) continue;
        return EAGAIN;
      }
      if (errno === ESRCH || errno === ENOSPC) {
        this.#gone(client);
        return errno;
      }
      // Something is there already, or there is nothing any more.
      if (errno !== EEXIST && errno !== ENOENT)
        throw cannotFill(client.pid, at + bytes, 'UFFDIO_COPY', errnoName(errno));
      client.ranges.drop(start + done, start + done + PAGE_BYTES);
      done += PAGE_BYTES;
    }
    return 0;
  }

  #count(bytes: bigint): void {
    this.#bytes += bytes;
    this.#serving.progress?.add(bytes);
  }

  /** Programs that have everything are on their own: closing the descriptor ends the watch. */
  #letGo(): void {
    for (const client of [...this.#clients])
      if (client.ranges.isEmpty && client.waiting.length === 0) {
        // A fork that was told and not read would take its descriptor away with it.
        const events = uffdEvents(client.uffd);
        if (events.length === 0) this.#remove(client);
        else for (const event of events) this.#obey(client, event);
      }
  }

  #gone(client: Client): void {
    this.#serving.log.info({ pid: client.pid }, 'the program has ended before it had all of its memory');
    this.#remove(client);
  }

  #remove(client: Client): void {
    this.#clients = this.#clients.filter((other) => other !== client);
    closeFd(client.uffd);
  }
}

function grown(piece: bigint): bigint {
  const next = piece + PIECE_MIN_BYTES;
  return next > PIECE_MAX_BYTES ? PIECE_MAX_BYTES : next;
}
