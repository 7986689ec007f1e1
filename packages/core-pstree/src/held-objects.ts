import { closeFd } from '@crts/native-syscalls';
import {
  type Arg,
  type HeldObject,
  type LateFd,
  MAP,
  type PageSource,
  PROT,
  type Program,
  plus,
  type SharedObjects,
  type StoredRun,
} from '@crts/plugin-api';
import { noHugePage } from './file-errors';
import { undoAll } from './undoing';

/** sendfile(2) moves at most 0x7ffff000 bytes at once. */
const PIECE_BYTES = 1n << 30n;
const SEEK_SET = 0;
/** As much as is mapped at once of files of huge pages that lie scattered. */
const STRETCH_BYTES = 1n << 32n;

/** Objects that the engine holds while the tasks of a restore are built. */
export class HeldObjects implements SharedObjects {
  readonly #openContents: (shmid: number) => PageSource;
  readonly #contents = new Map<number, PageSource>();
  readonly #firsts = new Set<string>();
  readonly #objects = new Map<string, HeldObject>();
  readonly #fds = new Set<number>();
  readonly #undo: (() => void)[] = [];

  constructor(openContents: (shmid: number) => PageSource) {
    this.#openContents = openContents;
  }

  first(key: string): boolean {
    return this.#firsts.size !== this.#firsts.add(key).size;
  }

  hold(key: string, make: () => number, undo?: () => void): HeldObject {
    const known = this.#objects.get(key);
    if (known !== undefined) return known;
    let fd: number | undefined;
    const held: HeldObject = {
      take: () => {
        if (fd === undefined) {
          fd = make();
          this.#fds.add(fd);
          if (undo !== undefined) this.#undo.push(undo);
        }
        return fd;
      },
      // Others may want it: it is closed in the end.
      sent: () => undefined,
    };
    this.#objects.set(key, held);
    return held;
  }

  lend(make: () => number): LateFd {
    let fd: number | undefined;
    return {
      take: () => {
        fd = make();
        this.#fds.add(fd);
        return fd;
      },
      sent: () => {
        this.#fds.delete(fd!);
        closeFd(fd!);
      },
    };
  }

  fill(program: Program, fd: Arg, shmid: number, sizeBytes: bigint, hugePageBytes?: bigint): void {
    if (sizeBytes === 0n) return;
    const contents = this.#contents.get(shmid) ?? this.#openContents(shmid);
    this.#contents.set(shmid, contents);
    const runs = contents.runs(0n, sizeBytes);
    if (runs.length === 0) return;
    const files = contents.files.map((file) =>
      program.receiveFd(file, { what: `take the contents of shared memory ${shmid}` }),
    );
    if (hugePageBytes === undefined) copyRuns(program, fd, runs, files, shmid);
    else readIntoMapping(program, fd, runs, files, shmid, hugePageBytes);
    for (const pages of files) program.call('close', [pages]);
  }

  /** The restore failed: takes back what would outlive it. */
  undo(cause?: unknown): void {
    undoAll(cause, this.#undo.splice(0));
  }

  /** Lets go of everything; tasks have their own descriptors and mappings. */
  close(): void {
    for (const fd of this.#fds) closeFd(fd);
    this.#fds.clear();
  }
}

function copyRuns(program: Program, fd: Arg, runs: readonly StoredRun[], files: readonly Arg[], shmid: number): void {
  for (const { addr, lengthBytes, fileOffset, file } of runs) {
    const pages = files[file]!;
    program.call('lseek', [fd, addr, SEEK_SET]);
    program.call('lseek', [pages, fileOffset, SEEK_SET]);
    for (const { done, length } of pieces(lengthBytes))
      program.call('sendfile', [fd, pages, null, length], {
        expect: length,
        what: `fill shared memory ${shmid} at 0x${(addr + done).toString(16)}`,
      });
  }
}

/** hugetlbfs has no write(2): the file is mapped, wherever there is room, in stretches of whole huge pages. */
function readIntoMapping(
  program: Program,
  fd: Arg,
  runs: readonly StoredRun[],
  files: readonly Arg[],
  shmid: number,
  pageBytes: bigint,
): void {
  for (const { start, end, inside } of stretches(runs, pageBytes)) {
    // What was promised of the file is its mappings' to say; these pages are taken now.
    const flags = MAP.shared | MAP.noReserve;
    const map = program.call('mmap', [0, end - start, PROT.read | PROT.write, flags, fd, start], {
      what: `map shared memory ${shmid} at 0x${start.toString(16)}`,
    });
    for (const { addr, lengthBytes, fileOffset, file } of inside)
      for (const { done, length } of pieces(lengthBytes))
        program.call('pread64', [files[file]!, plus(map, addr - start + done), length, fileOffset + done], {
          expect: length,
          what: `fill shared memory ${shmid} at 0x${(addr + done).toString(16)}`,
          fail: (errno) => noHugePage(shmid, pageBytes, errno),
        });
    program.call('munmap', [map, end - start]);
  }
}

interface Stretch {
  readonly start: bigint;
  end: bigint;
  readonly inside: StoredRun[];
}

/** Runs that huge pages have in common, or that lie in neighbouring ones, with those pages. */
function stretches(runs: readonly StoredRun[], pageBytes: bigint): Stretch[] {
  const found: Stretch[] = [];
  for (const run of runs) {
    const start = run.addr - (run.addr % pageBytes);
    const last = run.addr + run.lengthBytes - 1n;
    const end = last - (last % pageBytes) + pageBytes;
    const before = found.at(-1);
    if (before !== undefined && start <= before.end && end - before.start <= STRETCH_BYTES) {
      before.end = end;
      before.inside.push(run);
    } else found.push({ start, end, inside: [run] });
  }
  return found;
}

function pieces(lengthBytes: bigint): { readonly done: bigint; readonly length: bigint }[] {
  const found = [];
  for (let done = 0n; done < lengthBytes; done += PIECE_BYTES)
    found.push({ done, length: lengthBytes - done < PIECE_BYTES ? lengthBytes - done : PIECE_BYTES });
  return found;
}
