/** Pieces of a transfer that an agent and the engine take in turns: AGENT_OP_PAGES_TOGETHER of protocol.h. */
import type { PageRun } from '@crts/plugin-api';
import { addon } from '../addon';
import { encodeRuns } from './instruction';

/** Whole huge pages; less costs more calls, more lets one wait longer for the other at the end. */
export const PIECE_BYTES = 4n * 1024n * 1024n;

/**
 * Runs cut where the address, or the place in the file, is a multiple of a piece's size, so that no huge page of the memory, or of the
 * page cache, is two takers' work: of that which is made meanwhile.
 */
export function cutRuns<T extends PageRun>(runs: readonly T[], by: 'addr' | 'fileOffset' = 'addr'): T[] {
  const cut: T[] = [];
  for (const run of runs) {
    for (let done = 0n; done < run.lengthBytes; ) {
      const room = PIECE_BYTES - ((run[by] + done) % PIECE_BYTES);
      const left = run.lengthBytes - done;
      const lengthBytes = left < room ? left : room;
      // Most are no part of another: scattered pages.
      if (lengthBytes === run.lengthBytes) {
        cut.push(run);
        break;
      }
      cut.push({ ...run, addr: run.addr + done, lengthBytes, fileOffset: run.fileOffset + done });
      done += lengthBytes;
    }
  }
  return cut;
}

/** Where pieces begin: piece i is the runs from word i up to word i + 1. `runs` are cut. */
export function boundsOf(runs: readonly PageRun[]): Uint32Array {
  const bounds = [0];
  let bytes = 0n;
  runs.forEach(({ lengthBytes }, index) => {
    if (bytes > 0n && bytes + lengthBytes > PIECE_BYTES) {
      bounds.push(index);
      bytes = 0n;
    }
    bytes += lengthBytes;
  });
  if (runs.length > 0) bounds.push(runs.length);
  return Uint32Array.from(bounds);
}

/** A table of runs as agent and addon read it, where its file is open in the engine, and whether the pages go there. */
export interface PieceTable {
  readonly file: number;
  readonly store: boolean;
  readonly runs: readonly PageRun[];
  readonly encodedRuns: Buffer;
  readonly bounds: Uint32Array;
}

export function pieceTable(file: number, runs: readonly PageRun[], store: boolean): PieceTable {
  return { file, store, runs, encodedRuns: encodeRuns(runs), bounds: boundsOf(runs) };
}

/** A transfer that is under way in a task. */
export class SharedTransfer {
  readonly #pid: number;
  readonly #table: PieceTable;
  /** The word of the arena that says which piece is next. */
  readonly #next: Buffer;
  readonly #failed: number[] = [];

  constructor(pid: number, table: PieceTable, next: Buffer) {
    this.#pid = pid;
    this.#table = table;
    this.#next = next;
  }

  get count(): number {
    return this.#table.bounds.length - 1;
  }

  /** Pieces that nobody has taken yet. */
  get left(): number {
    return Math.max(0, this.count - this.#next.readUInt32LE(0));
  }

  /**
   * Copies pieces until none is left, or each of `threads` threads has copied `most`. Blocks. What cannot be copied is
   * kept for the agent, and whoever met it stops.
   */
  help(threads: number, most: number): void {
    const { file, store, encodedRuns, bounds } = this.#table;
    const failed = new Int32Array(threads).fill(-1);
    addon().helpPages(
      this.#pid,
      file,
      encodedRuns,
      bounds,
      this.count,
      this.#next,
      threads,
      most,
      failed,
      store ? 1 : 0,
    );
    for (const piece of failed) if (piece >= 0) this.#failed.push(piece);
  }

  /** Whether the engine can go on: it could copy all that it tried. */
  get works(): boolean {
    return this.#failed.length === 0;
  }

  /** Runs of the pieces that were taken and could not be copied: the agent does it, or says why it cannot. */
  get leftOver(): PageRun[] {
    const { runs, bounds } = this.#table;
    return this.#failed.flatMap((piece) => runs.slice(bounds[piece], bounds[piece + 1]));
  }
}
