import { COMMAND, decodeRecord, entryFlags, PAGE, RECORD_BYTES } from './codec';

/** Largest piece of a TLS record. */
const PIECE_BYTES = 16 * 1024;
const PAGE_BYTES = 4096n;

/**
 * Cuts what a dump sends as CRIU's page server needs it when it is encrypted: it takes whole TLS records for whole pages
 * (tls_recv_data_to_fd(), criu/tls.c), so that a record must not hold the end of one thing and the beginning of the next.
 */
export class Framing {
  #pending: Buffer[] = [];
  #bytes = 0;
  /** Bytes of pages that are still to come. */
  #left = 0n;

  /** Pieces that are complete. */
  *feed(chunk: Buffer): Generator<Buffer> {
    this.#pending.push(chunk);
    this.#bytes += chunk.length;
    for (;;) {
      const wanted = this.#left === 0n ? RECORD_BYTES : Number(this.#left < PIECE_BYTES ? this.#left : PIECE_BYTES);
      if (this.#bytes < wanted) return;
      const piece = this.#take(wanted);
      if (this.#left > 0n) this.#left -= BigInt(wanted);
      else this.#left = pagesBehind(piece);
      yield piece;
    }
  }

  #take(lengthBytes: number): Buffer {
    const whole = this.#pending.length === 1 ? this.#pending[0]! : Buffer.concat(this.#pending);
    this.#bytes -= lengthBytes;
    this.#pending = this.#bytes === 0 ? [] : [whole.subarray(lengthBytes)];
    return whole.subarray(0, lengthBytes);
  }
}

function pagesBehind(bytes: Buffer): bigint {
  const record = decodeRecord(bytes);
  const isPages = [COMMAND.add, COMMAND.hole, COMMAND.addFlags].some((command) => command === record.command);
  return isPages && (entryFlags(record) & PAGE.present) !== 0 ? record.pages * PAGE_BYTES : 0n;
}
