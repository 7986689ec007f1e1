import { isTerminal } from '@crts/native-syscalls';
/** One line on a terminal that is written over: `1.2 GiB of 8.0 GiB, 900 MiB/s, 8 s left`. Silent where there is no terminal. */
import type { TransferProgress } from '@crts/plugin-api';

const STDERR = 2;
/** The first line comes when a transfer turns out to be long; then as often. */
const INTERVAL_NS = 500_000_000n;
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
const CLEAR_LINE = '\r\x1b[K';

export interface ProgressOptions {
  /** What is done: `sent`. */
  readonly what: string;
  readonly total?: bigint | undefined;
  /** Nanoseconds, for tests. */
  readonly now?: () => bigint;
  readonly write?: (text: string) => void;
}

export class Progress implements TransferProgress {
  readonly #what: string;
  readonly #now: () => bigint;
  readonly #write: (text: string) => void;
  /** When it was known that there is something. */
  #started: bigint;
  #total: bigint | undefined;
  #done = 0n;
  #shownAt: bigint;
  #isShown = false;

  constructor({ what, total, now = process.hrtime.bigint, write }: ProgressOptions) {
    this.#what = what;
    this.#total = total;
    this.#now = now;
    this.#write = write ?? ((text) => process.stderr.write(text));
    this.#started = this.#shownAt = now();
  }

  /** Undefined where nobody looks. */
  static onTerminal(what: string, total?: bigint): Progress | undefined {
    return isTerminal(STDERR) ? new Progress({ what, total }) : undefined;
  }

  /** More is to come than was known. */
  expect(bytes: bigint): void {
    if (this.#total === undefined && this.#done === 0n) this.#started = this.#shownAt = this.#now();
    this.#total = (this.#total ?? 0n) + bytes;
  }

  add(bytes: bigint): void {
    this.#done += bytes;
    const now = this.#now();
    if (now - this.#shownAt < INTERVAL_NS) return;
    this.#shownAt = now;
    this.#isShown = true;
    this.#write(`${CLEAR_LINE}${progressText(this.#what, this.#done, this.#total, now - this.#started)}`);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#isShown) this.#write(CLEAR_LINE);
    this.#isShown = false;
  }
}

export function progressText(what: string, done: bigint, total: bigint | undefined, elapsedNs: bigint): string {
  const rate = elapsedNs === 0n ? 0 : Number(done) / (Number(elapsedNs) / 1e9);
  const speed = `${sizeText(rate)}/s`;
  if (total === undefined || total < done) return `${sizeText(Number(done))} ${what}, ${speed}`;
  const left = rate === 0 ? '' : `, ${timeText(Number(total - done) / rate)} left`;
  return `${sizeText(Number(done))} of ${sizeText(Number(total))} ${what}, ${speed}${left}`;
}

export function sizeText(bytes: number): string {
  let unit = 0;
  let size = bytes;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size < 10 && unit > 0 ? size.toFixed(1) : Math.round(size)} ${UNITS[unit]}`;
}

function timeText(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 120) return `${whole} s`;
  return whole < 7200 ? `${Math.round(whole / 60)} min` : `${Math.round(whole / 3600)} h`;
}
