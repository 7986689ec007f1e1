import {
  closeFd,
  limitReceiveSeconds,
  limitSendTime,
  receiveFull,
  SyscallError,
  sendFull,
} from '@crts/native-syscalls';
import type { CrtsError, PageOutlet, PageOwner } from '@crts/plugin-api';
import { COMMAND, encodeOwner, encodeRecord, type PageRecord } from './codec';
import { badRecord, connectionLost, refusedByServer } from './errors';
import type { Progress } from './progress';

const PAGE_BYTES = 4096n;
/** Nothing goes through for so long: the other side is gone, or its disk stands still. A tree is frozen meanwhile. */
const STALL_S = 60;

export interface Connection {
  readonly socket: number;
  /** Whom errors name. */
  readonly peer: string;
  /** Why the connection failed, where something between knows better than the socket (TLS). */
  readonly reason?: (() => string | undefined) | undefined;
  /** Sends what is still under way and ends the connection. */
  readonly end?: (() => void) | undefined;
  /** The socket belongs to somebody else, who keeps it open (--ps-socket). */
  readonly isBorrowed?: boolean | undefined;
}

/** The dump's side of a connection with a page server. */
export class PageServerClient implements PageOutlet {
  readonly #connection: Connection;
  readonly #progress: Progress | undefined;
  #dst = 0n;

  constructor(connection: Connection, progress?: Progress) {
    this.#connection = connection;
    this.#progress = progress;
    limitSendTime(connection.socket, STALL_S);
    limitReceiveSeconds(connection.socket, STALL_S);
  }

  get socket(): number {
    return this.#connection.socket;
  }

  hasParent(owner: PageOwner, id: number): boolean {
    this.#request(COMMAND.parent, encodeOwner(owner, id));
    return this.#isYes(this.#answer(4, 'asking for a parent set').readInt32LE(0));
  }

  open(owner: PageOwner, id: number): boolean {
    this.#dst = encodeOwner(owner, id);
    this.#request(COMMAND.open2, this.#dst);
    return this.#isYes(this.#answer(1, 'opening images there')[0]!);
  }

  /** Who says anything else is no page server, and may take nothing for as long as a tree stands still. */
  #isYes(answer: number): boolean {
    if (answer !== 0 && answer !== 1)
      throw badRecord(this.#connection.peer, `it answers ${answer} where 0 or 1 is to come`);
    return answer === 1;
  }

  record(start: bigint, end: bigint, flags: number): Buffer {
    return encodeRecord({
      command: COMMAND.addFlags,
      flags,
      pages: (end - start) / PAGE_BYTES,
      vaddr: start,
      dst: this.#dst,
    });
  }

  send(bytes: Buffer, more: boolean): void {
    this.#guard('sending pages', () => sendFull(this.socket, bytes, more));
  }

  expect(bytes: bigint): void {
    this.#progress?.expect(bytes);
  }

  sent(bytes: bigint): void {
    this.#progress?.add(bytes);
  }

  failure(errno: string | undefined): CrtsError | undefined {
    if (errno === 'EFAULT') return undefined;
    return connectionLost(this.#connection.peer, 'sending pages', this.#connection.reason?.() ?? errno);
  }

  /** Waits until the other side has stored all. @throws CrtsError CRTS_PAGE_SERVER */
  finish(): void {
    this.#request(this.#connection.isBorrowed === true ? COMMAND.forceClose : COMMAND.close, 0n);
    const status = this.#answer(4, 'ending the transfer').readInt32LE(0);
    if (status !== 0) throw refusedByServer(this.#connection.peer, status);
    this.#progress?.end();
  }

  close(): void {
    this.#progress?.end();
    this.#connection.end?.();
    if (this.#connection.isBorrowed !== true) closeFd(this.socket);
  }

  #request(command: PageRecord['command'], dst: bigint): void {
    this.#guard('asking', () => sendFull(this.socket, encodeRecord({ command, flags: 0, pages: 0n, vaddr: 0n, dst })));
  }

  #answer(sizeBytes: number, during: string): Buffer {
    const bytes = Buffer.alloc(sizeBytes);
    const { peer, reason } = this.#connection;
    if (!this.#guard(during, () => receiveFull(this.socket, bytes)))
      throw reason?.() === undefined
        ? badRecord(peer, `it ended the connection while crts was ${during}`)
        : connectionLost(peer, during, reason());
    return bytes;
  }

  #guard<T>(during: string, action: () => T): T {
    try {
      return action();
    } catch (error) {
      const { peer, reason } = this.#connection;
      if (error instanceof SyscallError) throw connectionLost(peer, during, reason?.() ?? error.errno);
      throw error;
    }
  }
}
