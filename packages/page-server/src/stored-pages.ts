import { type PageProvider, sendFileRange } from '@crts/page-xfer';
import type { ImageSource, PageSource, PageStore } from '@crts/plugin-api';

/** Pages of an image set for a lazy restore elsewhere; they go from the files to the socket inside the kernel. */
export class StoredPages implements PageProvider {
  readonly #reader: ImageSource;
  readonly #pages: PageStore;
  readonly #sources = new Map<number, PageSource>();

  constructor(reader: ImageSource, pages: PageStore) {
    this.#reader = reader;
    this.#pages = pages;
  }

  available(pid: number, start: bigint, lengthBytes: bigint): bigint {
    const [run] = this.#open(pid)?.runs(start, start + lengthBytes) ?? [];
    return run?.addr === start ? run.lengthBytes : 0n;
  }

  send(socket: number, pid: number, start: bigint, lengthBytes: bigint): void {
    const source = this.#open(pid)!;
    const [run] = source.runs(start, start + lengthBytes);
    sendFileRange(socket, source.files[run!.file]!, run!.fileOffset, lengthBytes);
  }

  /** Ids come from the other side: what no image has is opened for nobody. */
  #open(pid: number): PageSource | undefined {
    const known = this.#sources.get(pid);
    if (known !== undefined || !this.#reader.has('pagemap', pid)) return known;
    const source = this.#pages.open(pid, this.#reader);
    this.#sources.set(pid, source);
    return source;
  }
}
