/** Many system calls in one native call: of a thousand threads or descriptors, calls alone would cost less than calling. */
import { addon, type Job } from './addon';
import { syscallNumber } from './syscall-numbers';

/** A row: the number of the call, its six arguments, and the kernel's answer. */
const ROW = 8;
const ROW32 = 2 * ROW;
const RESULT = 7;
const TWO32 = 0x1_0000_0000;

/** What batches in other threads read and write: the collector follows references, not addresses. */
const reachable = new Map<Job, readonly unknown[]>();

export class SyscallBatch {
  readonly #words: BigInt64Array;
  readonly #halves: Int32Array;
  /** Calls added so far. */
  count = 0;

  constructor(capacity: number) {
    this.#words = new BigInt64Array(capacity * ROW);
    this.#halves = new Int32Array(this.#words.buffer);
  }

  /** Adds a call and returns its index. Arguments are safe integers: addresses of user space are. */
  add(name: string, a = 0, b = 0, c = 0, d = 0): number {
    const at = this.count * ROW32;
    this.#set(at, syscallNumber(name));
    this.#set(at + 2, a);
    this.#set(at + 4, b);
    this.#set(at + 6, c);
    this.#set(at + 8, d);
    return this.count++;
  }

  /** Makes all calls in their order, whatever they answer. What their arguments point to must be reachable until then. */
  run(): void {
    addon().syscalls(this.#words, this.count);
  }

  /**
   * The same in a thread beside the engine's. Answers are there when the function has been called that is returned, which waits and must
   * be called once. `buffers`: all that arguments point to.
   */
  start(...buffers: readonly Uint8Array[]): () => void {
    const job = addon().startSyscalls(this.#words, this.count);
    reachable.set(job, [this.#words, ...buffers]);
    return () => {
      addon().finish(job);
      reachable.delete(job);
    };
  }

  /** The kernel's answer to a call, negative errno included. */
  result(index: number): number {
    const at = index * ROW32 + 2 * RESULT;
    return this.#halves[at + 1]! * TWO32 + (this.#halves[at]! >>> 0);
  }

  /** Index of the first call that failed, -1 when none did. */
  get firstFailed(): number {
    for (let index = 0; index < this.count; index++) if (this.result(index) < 0) return index;
    return -1;
  }

  #set(at: number, value: number): void {
    this.#halves[at] = value;
    this.#halves[at + 1] = value >= 0 && value < TWO32 ? 0 : Math.floor(value / TWO32);
  }
}
