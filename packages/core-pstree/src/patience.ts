/** Waits for threads to stop, and not for ever. */
import { rawSyscall, WNOHANG, waitPid } from '@crts/native-syscalls';
import { notFrozenInTime } from './errors';
import { stateOf } from './proc';
import { inVfork } from './sharing-errors';
import { vforkWait } from './vfork';

const SIGCHLD_ONLY = 1n << 16n;
const SIG_BLOCK = 0;
const SIG_SETMASK = 2;
const SIGSET_SIZE = 8;
const NS_PER_S = 1_000_000_000n;
/**
 * A stop is told by SIGCHLD (do_notify_parent_cldstop(), kernel/signal.c), which ends the sleep. Where it is lost, to another
 * thread of node or as crts was started with SIGCHLD ignored, the next look comes after this.
 */
const LOOK_AGAIN_NS = 1_000_000n;

/** One freeze's time: from the constructor to end(). */
export class Patience {
  readonly #root: number;
  readonly #seconds: number;
  readonly #end: bigint | undefined;
  readonly #mask = new BigUint64Array(1);

  /** @param seconds 0: without bound, as with alarm(2) in CRIU */
  constructor(root: number, seconds: number) {
    this.#root = root;
    this.#seconds = seconds;
    if (seconds === 0) return;
    this.#end = process.hrtime.bigint() + BigInt(seconds) * NS_PER_S;
    // Pending rather than ignored, so that a stop between a look and the sleep ends the sleep at once.
    rawSyscall('rt_sigprocmask', SIG_BLOCK, new BigUint64Array([SIGCHLD_ONLY]), this.#mask, SIGSET_SIZE);
  }

  /** As waitPid(), blocking. @throws CrtsError CRTS_TIMEOUT */
  waitPid(tid: number): { readonly pid: number; readonly status: number } {
    if (this.#end === undefined) return waitPid(tid)!;
    const set = new BigUint64Array([SIGCHLD_ONLY]);
    const slice = new BigUint64Array([0n, LOOK_AGAIN_NS]);
    for (;;) {
      const found = waitPid(tid, WNOHANG);
      if (found !== undefined) return found;
      this.check(tid);
      rawSyscall('rt_sigtimedwait', set, null, slice, SIGSET_SIZE);
    }
  }

  /** @throws CrtsError CRTS_TIMEOUT or CRTS_VFORK when the time is over; `tid` is whom it waits for */
  check(tid?: number): void {
    if (this.#end === undefined || process.hrtime.bigint() < this.#end) return;
    const wait = tid === undefined ? undefined : vforkWait(tid);
    if (wait !== undefined) throw inVfork(wait, this.#seconds);
    throw notFrozenInTime(this.#root, this.#seconds, tid === undefined ? undefined : { tid, state: stateOf(tid) });
  }

  end(): void {
    if (this.#end !== undefined) rawSyscall('rt_sigprocmask', SIG_SETMASK, this.#mask, null, SIGSET_SIZE);
  }
}
