import { closeFd } from '@crts/native-syscalls';
import type { Arg, HeldObject, LateFd, PageSource, Program, SharedObjects } from '@crts/plugin-api';

/** sendfile(2) moves at most 0x7ffff000 bytes at once. */
const PIECE_BYTES = 1n << 30n;
const SEEK_SET = 0;

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

  fill(program: Program, fd: Arg, shmid: number, sizeBytes: bigint): void {
    if (sizeBytes === 0n) return;
    const contents = this.#contents.get(shmid) ?? this.#openContents(shmid);
    this.#contents.set(shmid, contents);
    const runs = contents.runs(0n, sizeBytes);
    if (runs.length === 0) return;
    const files = contents.files.map((file) =>
      program.receiveFd(file, { what: `take the contents of shared memory ${shmid}` }),
    );
    for (const { addr, lengthBytes, fileOffset, file } of runs) {
      const pages = files[file]!;
      program.call('lseek', [fd, addr, SEEK_SET]);
      program.call('lseek', [pages, fileOffset, SEEK_SET]);
      for (let done = 0n; done < lengthBytes; done += PIECE_BYTES) {
        const length = lengthBytes - done < PIECE_BYTES ? lengthBytes - done : PIECE_BYTES;
        program.call('sendfile', [fd, pages, null, length], {
          expect: length,
          what: `fill shared memory ${shmid} at 0x${(addr + done).toString(16)}`,
        });
      }
    }
    for (const pages of files) program.call('close', [pages]);
  }

  /** The restore failed: takes back what would outlive it. */
  undo(): void {
    for (const undo of this.#undo.splice(0)) undo();
  }

  /** Lets go of everything; tasks have their own descriptors and mappings. */
  close(): void {
    for (const fd of this.#fds) closeFd(fd);
    this.#fds.clear();
  }
}
