import { SyscallError, sendFull, withLent } from '@crts/native-syscalls';
import type { FrozenTask } from '@crts/plugin-api';
import { lateMemory } from './lazy-errors';
import type { LatePages } from './requests';

/** Sent at once: more would keep another request waiting. */
const PIECE_BYTES = 4n * 1024n * 1024n;
const MSG_NOSIGNAL = 0x4000;

export interface LateTask {
  readonly task: FrozenTask;
  /** Ascending. */
  readonly stretches: readonly { readonly start: bigint; readonly end: bigint; readonly readable: boolean }[];
}

/** What a frozen tree has not given to the images: the tasks' own agents send it, so that it is copied once. */
export class FrozenPages implements LatePages {
  readonly total: bigint;
  readonly #tasks: ReadonlyMap<number, LateTask>;

  constructor(tasks: readonly LateTask[]) {
    this.#tasks = new Map(tasks.map((one) => [one.task.pid, one]));
    this.total = tasks.reduce(
      (sum, { stretches }) => stretches.reduce((part, { start, end }) => part + end - start, sum),
      0n,
    );
  }

  available(pid: number, start: bigint, lengthBytes: bigint): bigint {
    const stretch = this.#find(pid, start);
    if (stretch === undefined) return 0n;
    const there = stretch.end - start;
    const wanted = lengthBytes < PIECE_BYTES ? lengthBytes : PIECE_BYTES;
    return there < wanted ? there : wanted;
  }

  send(socket: number, pid: number, start: bigint, lengthBytes: bigint): void {
    const { task } = this.#tasks.get(pid)!;
    if (this.#find(pid, start)!.readable) {
      withLent(task, socket, (program, own) => {
        program.call('sendto', [own, start, lengthBytes, MSG_NOSIGNAL, null, 0], {
          expect: lengthBytes,
          what: `send the pages at 0x${start.toString(16)}`,
          fail: (errno) => lateMemory(pid, start, errno),
        });
      });
      return;
    }
    try {
      sendFull(socket, task.readMemory(start, Number(lengthBytes)));
    } catch (error) {
      throw error instanceof SyscallError ? lateMemory(pid, start, error.errno) : error;
    }
  }

  #find(pid: number, address: bigint) {
    const stretches = this.#tasks.get(pid)?.stretches ?? [];
    let low = 0;
    let high = stretches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (stretches[middle]!.end <= address) low = middle + 1;
      else high = middle;
    }
    const found = stretches[low];
    return found !== undefined && found.start <= address ? found : undefined;
  }
}
