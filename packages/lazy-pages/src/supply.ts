/** Where missing pages come from: mapped images, or a page server. */
import { fstatSync } from 'node:fs';
import type { PlainPages } from '@crts/image-io';
import { addressOf, errnoName, rawSyscall, receiveFull, SyscallError, sendFull } from '@crts/native-syscalls';
import {
  badRecord,
  COMMAND,
  type Connection,
  connectionLost,
  decodeRecord,
  encodeRecord,
  PAGE,
  RECORD_BYTES,
} from '@crts/page-xfer';
import type { PageSource } from '@crts/plugin-api';
import { cannotMap, noContents } from './errors';

const PROT_READ = 1;
const MAP_SHARED = 1;
const PAGE_BYTES = 4096n;
/** What passes through memory of crts at once. */
const BUFFER_BYTES = 1024n * 1024n;
/** Of a page server: a fault may have to wait for that much. */
const REMOTE_BYTES = 256n * 1024n;

/** Contents of memory of crts, for UFFDIO_COPY; valid until the next request. */
export interface Contents {
  readonly address: bigint;
  /** At least a page, at most what was asked for. */
  readonly lengthBytes: bigint;
}

export interface Supply {
  /** Of what was at [from, from + lengthBytes) at the dump. */
  get(pid: number, from: bigint, lengthBytes: bigint): Contents;
  close(): void;
}

/** Images on this machine: mapped, so that pages are copied once. */
export class LocalSupply implements Supply {
  readonly #sources: (pid: number) => PageSource;
  readonly #maps = new Map<number, { readonly address: bigint; readonly sizeBytes: bigint }>();
  readonly #plain: PlainPages | undefined;
  #buffer: Buffer | undefined;

  constructor(sources: (pid: number) => PageSource, plain?: PlainPages) {
    this.#sources = sources;
    this.#plain = plain;
  }

  get(pid: number, from: bigint, lengthBytes: bigint): Contents {
    const source = this.#sources(pid);
    const [run] = source.runs(from, from + lengthBytes);
    if (run === undefined || run.addr !== from) throw noContents(pid, from);
    const file = source.files[run.file]!;
    const { address, sizeBytes } = this.#map(file);
    const length = run.lengthBytes < BUFFER_BYTES ? run.lengthBytes : BUFFER_BYTES;
    const isLate = this.#plain?.fill !== undefined;
    if (isLate) this.#plain!.fill!(file, run.fileOffset, length);
    if (run.fileOffset + run.lengthBytes <= sizeBytes && run.fileOffset % PAGE_BYTES === 0n)
      return { address: address + run.fileOffset, lengthBytes: isLate ? length : run.lengthBytes };
    this.#buffer = source.read(from, Number(length));
    if (this.#buffer === undefined) throw noContents(pid, from);
    return { address: addressOf(this.#buffer), lengthBytes: length };
  }

  close(): void {
    for (const { address, sizeBytes } of this.#maps.values()) rawSyscall('munmap', address, sizeBytes);
    this.#maps.clear();
  }

  #map(fd: number) {
    const known = this.#maps.get(fd);
    if (known !== undefined) return known;
    const { size: sizeBytes } = fstatSync(fd, { bigint: true });
    const address = rawSyscall('mmap', 0, sizeBytes, PROT_READ, MAP_SHARED, fd, 0);
    if (address < 0) throw cannotMap(`${sizeBytes} bytes`, errnoName(-address));
    const made = { address: BigInt(address), sizeBytes };
    this.#maps.set(fd, made);
    return made;
  }
}

/** A page server, or a dump that serves the tree it has frozen. */
export class RemoteSupply implements Supply {
  readonly #connection: Connection;
  readonly #buffer = Buffer.alloc(Number(REMOTE_BYTES + PAGE_BYTES));
  readonly #address: bigint;

  constructor(connection: Connection) {
    this.#connection = connection;
    const start = addressOf(this.#buffer);
    // UFFDIO_COPY takes whole pages from wherever they are; aligned ones are copied fastest.
    this.#address = start + ((PAGE_BYTES - (start % PAGE_BYTES)) % PAGE_BYTES);
  }

  get(pid: number, from: bigint, lengthBytes: bigint): Contents {
    const { socket, peer, reason } = this.#connection;
    const wanted = (lengthBytes < REMOTE_BYTES ? lengthBytes : REMOTE_BYTES) / PAGE_BYTES;
    try {
      sendFull(socket, encodeRecord({ command: COMMAND.get, flags: 0, pages: wanted, vaddr: from, dst: BigInt(pid) }));
      const head = Buffer.alloc(RECORD_BYTES);
      if (!receiveFull(socket, head)) throw connectionLost(peer, 'asking for pages', reason?.() ?? 'end of the stream');
      const record = decodeRecord(head);
      const fits = record.pages > 0n && record.pages <= wanted && record.vaddr === from && record.dst === BigInt(pid);
      if (record.command !== COMMAND.addFlags || (record.flags & PAGE.present) === 0 || !fits)
        throw badRecord(peer, 'its answer is not what was asked for');
      const skip = Number(this.#address - addressOf(this.#buffer));
      const bytes = this.#buffer.subarray(skip, skip + Number(record.pages * PAGE_BYTES));
      if (!receiveFull(socket, bytes)) throw connectionLost(peer, 'receiving pages', 'end of the stream');
      return { address: this.#address, lengthBytes: record.pages * PAGE_BYTES };
    } catch (error) {
      if (error instanceof SyscallError) throw connectionLost(peer, 'asking for pages', reason?.() ?? error.errno);
      throw error;
    }
  }

  /** Everything has come: the other side may go. */
  close(): void {
    const { socket } = this.#connection;
    try {
      sendFull(socket, encodeRecord({ command: COMMAND.close, flags: 0, pages: 0n, vaddr: 0n, dst: 0n }));
      receiveFull(socket, Buffer.alloc(4));
    } catch {
      // All pages are here.
    }
  }
}
