/**
 * Private mappings of tasks that are restored. A task that forks others makes what they have in common with it before it forks
 * them, so that they have it copy-on-write: docs/adr/0021.
 */
import { fstatSync } from 'node:fs';
import { cutRuns, PIECE_BYTES, type ProgramBuilder, type Stretch } from '@crts/native-syscalls';
import type { MappingHead, PageSource, PrivateMapping, Program, Result, StoredRun } from '@crts/plugin-api';
import { subtract } from './hot-memory';
import { withoutLazy } from './lazy';
import { pagesUnread } from './page-errors';

const PAGE = 4096n;
/** Page runs of one instruction: 240 kB of the arena, and 40 kB at most that say where pieces begin. */
const RUNS_MAX = 10_000;
/** From this size on the engine takes part: it costs a round trip. */
const TOGETHER_BYTES = 2n * PIECE_BYTES;

export interface Range {
  readonly start: bigint;
  readonly end: bigint;
}

/** What became of the pages in the images. */
export interface PageCounts {
  /** Looked at in memory that a task has from its parent. */
  readonly compared: number;
  /** Of these, equal, and shared with the parent. */
  readonly shared: number;
  readonly restored: number;
}

/** Brings page contents into a task. Passes are emitted in the order in which they run. */
export class PageFiller {
  /** Index of the pages file that is open in the task: increments have pages in the files of their parents too. */
  #file: number | undefined;
  #filled = 0n;
  #compared = 0n;
  readonly #updates: Result[] = [];
  /** Asked for by `later`. */
  #waiting: StoredRun[] = [];
  #lazy: readonly Range[];

  /** `number` is the descriptor of pages files in the task; `lazy` stretches come later, from somebody else. */
  constructor(
    readonly pages: PageSource,
    readonly number: number,
    lazy: readonly Range[] = [],
  ) {
    this.#lazy = lazy;
  }

  get lazy(): readonly Range[] {
    return this.#lazy;
  }

  /** Before anything is emitted: these are to be there with the rest. */
  hurry(ranges: readonly Range[]): void {
    this.#lazy = subtract(this.#lazy, ranges);
  }

  /** Emits the transfer of all stored pages of the range. */
  fill(program: Program, range: Range): void {
    this.#read(program, this.#runs(range));
  }

  /** The same when `flush` is emitted: all mappings together take fewer calls, and the engine can do a share of them. */
  later(range: Range): void {
    this.#waiting.push(...this.#runs(range));
  }

  /** Emits what was put off. */
  flush(program: Program): void {
    const runs = this.#waiting;
    this.#waiting = [];
    this.#read(program, runs);
  }

  /** The same where memory has the pages of a parent: only what differs is written, what only the parent has goes away. */
  update(program: Program, range: Range, parent: PageSource): void {
    const own = this.pages.runs(range.start, range.end);
    const { both, mine, others } = compare(own, parent.runs(range.start, range.end));
    const update = (fd: number, runs: readonly StoredRun[], dropped: readonly Stretch[]) => {
      // Plans of the engine are made of builders that know its own operations.
      const result = (program as ProgramBuilder).updatePages(fd, runs, dropped);
      if (runs.length > 0) this.#updates.push(result);
    };
    for (const part of parts(others)) update(-1, [], part);
    for (const [file, runs] of byFile(both)) {
      this.#use(program, file);
      for (const part of parts(runs)) update(this.number, part, []);
      this.#compared += lengthOf(runs);
    }
    this.#waiting.push(...mine);
  }

  /** Emits the end of the last transfer. */
  close(program: Program): void {
    if (this.#file === undefined) return;
    program.call('close', [this.number]);
    this.#file = undefined;
  }

  /** Of the whole plan, when it is compiled. */
  get plannedBytes(): bigint {
    return this.#filled + this.#compared;
  }

  /** After the programs have run. */
  get counts(): PageCounts {
    const written = this.#updates.reduce((sum, { value }) => sum + value, 0n);
    const pages = (bytes: bigint) => Number(bytes / PAGE);
    return {
      compared: pages(this.#compared),
      shared: pages(this.#compared - written),
      restored: pages(this.#filled + written),
    };
  }

  #runs({ start, end }: Range): readonly StoredRun[] {
    return withoutLazy(this.pages.runs(start, end), this.lazy);
  }

  #read(program: Program, runs: readonly StoredRun[]): void {
    for (const [file, found] of byFile(runs)) {
      this.#use(program, file);
      const runs = lengthOf(found) < TOGETHER_BYTES ? found : cutRuns(found);
      // Plans of the engine are made of builders that know its own operations.
      for (const part of parts(runs)) this.#readPart(program as ProgramBuilder, file, part);
      this.#filled += lengthOf(found);
    }
  }

  #readPart(program: ProgramBuilder, file: number, runs: readonly StoredRun[]): void {
    const { addr, lengthBytes } = runs.at(-1)!;
    const [name, source] = [this.pages.names[file]!, this.pages.files[file]!];
    const options = {
      what: `read pages of ${show({ start: runs[0]!.addr, end: addr + lengthBytes })}`,
      fail: (errno: string | undefined) => pagesUnread(name, sizeOf(source), runs, errno),
    };
    if (lengthOf(runs) < TOGETHER_BYTES) program.pagesFromFile(this.number, runs, options);
    else program.pagesTogether(this.number, runs, source, options);
  }

  #use(program: Program, file: number): void {
    if (this.#file === file) return;
    this.#file = file;
    const what = file === 0 ? 'take the pages image' : `take the pages image of parent set ${file}`;
    program.moveFd(program.receiveFd(this.pages.files[file]!, { what }), this.number, true);
  }
}

/** A private mapping in the plan of a task. */
export class PlannedMapping {
  /** Made before the task forks others. */
  isEarly = false;
  /** The mapping of the task that forks this one, where it is kept, or a part of it. */
  origin: PlannedMapping | undefined;

  constructor(
    readonly head: MappingHead,
    readonly mapping: PrivateMapping,
    readonly filler: PageFiller,
  ) {}

  get range(): Range {
    return { start: this.mapping.start, end: this.mapping.end };
  }

  /** Bytes of it in the images. */
  runs({ start, end }: Range): readonly StoredRun[] {
    return this.mapping.hasPages ? this.filler.pages.runs(start, end) : [];
  }

  /** Emits what brings it into being. Contents that have to be read come with PageFiller.flush(). */
  make(program: Program): void {
    const { start, end, prot, hasPages } = this.mapping;
    if (this.origin === undefined) {
      this.mapping.map(program);
      if (hasPages) this.filler.later(this.range);
      return;
    }
    // The parent's has its first protection as long as others are forked.
    if (this.origin.mapping.prot !== prot) program.call('mprotect', [start, end - start, prot]);
    if (hasPages) this.filler.update(program, this.range, this.origin.filler.pages);
  }
}

interface Comparison {
  /** Stored in both: runs of the first. */
  readonly both: readonly StoredRun[];
  /** In the first alone. */
  readonly mine: readonly StoredRun[];
  /** In the second alone. */
  readonly others: readonly Stretch[];
}

/** Both ascending. */
export function compare(own: readonly StoredRun[], parent: readonly Stretch[]): Comparison {
  const both: StoredRun[] = [];
  const mine: StoredRun[] = [];
  const others: Stretch[] = [];
  let index = 0;
  /** What of the parent's runs up to `end` has not been met is the parent's alone. */
  let position = 0n;
  const pass = (end: bigint) => {
    for (; index < parent.length; index++) {
      const { addr, lengthBytes } = parent[index]!;
      const from = addr > position ? addr : position;
      const to = addr + lengthBytes < end ? addr + lengthBytes : end;
      if (from < to) others.push({ addr: from, lengthBytes: to - from });
      if (addr + lengthBytes > end) return;
    }
  };
  for (const run of own) {
    const end = run.addr + run.lengthBytes;
    pass(run.addr);
    for (let at = run.addr; at < end; ) {
      while (index < parent.length && parent[index]!.addr + parent[index]!.lengthBytes <= at) index += 1;
      const other = parent[index];
      const isIn = other !== undefined && other.addr <= at;
      const limit = isIn ? other.addr + other.lengthBytes : (other?.addr ?? end);
      const to = limit < end ? limit : end;
      (isIn ? both : mine).push({
        addr: at,
        lengthBytes: to - at,
        fileOffset: run.fileOffset + (at - run.addr),
        file: run.file,
      });
      at = to;
    }
    position = end;
  }
  const last = parent.at(-1);
  if (last !== undefined) pass(last.addr + last.lengthBytes);
  return { both, mine, others };
}

export function lengthOf(runs: readonly Stretch[]): bigint {
  return runs.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0n);
}

function* parts<T>(runs: readonly T[]): Generator<readonly T[]> {
  // One instruction's table of runs has to fit the arena: 24 bytes a run.
  for (let at = 0; at < runs.length; at += RUNS_MAX) yield runs.slice(at, at + RUNS_MAX);
}

function byFile(runs: readonly StoredRun[]): ReadonlyMap<number, readonly StoredRun[]> {
  const files = new Map<number, StoredRun[]>();
  for (const run of runs) {
    const known = files.get(run.file);
    if (known === undefined) files.set(run.file, [run]);
    else known.push(run);
  }
  return files;
}

function sizeOf(fd: number): bigint | undefined {
  try {
    return fstatSync(fd, { bigint: true }).size;
  } catch {
    return undefined;
  }
}

function show({ start, end }: Range): string {
  return `0x${start.toString(16)}-0x${end.toString(16)}`;
}
