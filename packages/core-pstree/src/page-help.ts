/** While tasks read or store their pages the engine, which would only wait, takes a share of them: docs/adr/0027, 0034. */
import {
  getAffinity,
  POLL,
  poll,
  type Run,
  type SharedTransfer,
  setAffinity,
  tellObserver,
} from '@crts/native-syscalls';

/** Pieces that a thread takes before the engine looks again how many tasks are still busy: some 20 ms. */
const PIECES_AT_ONCE = 8;
/** More do not make memory faster. */
const THREADS_MAX = 8;
/** A task that nobody has heard of for so long is looked after by who waits for its answer. */
const SILENCE_MS = 1000;

/** What the policy needs of a run; tests have others. */
export type Helped = Pick<Run, 'doorbell'> & { readonly transfer: Transfer | undefined };
type Transfer = Pick<SharedTransfer, 'left' | 'works' | 'help'>;

/**
 * Takes part in transfers as long as there are more CPUs than tasks that run. `answered` says which of the doorbells are readable,
 * after at most so many milliseconds.
 */
export function helpRuns(
  runs: readonly Helped[],
  cpus: number,
  answered: (doorbells: readonly number[], milliseconds: number) => readonly boolean[],
): void {
  let busy = runs;
  for (;;) {
    const open = busy.filter(({ transfer }) => transfer?.works === true && transfer.left > 0);
    if (open.length === 0) return;
    const idle = Math.min(cpus - busy.length, THREADS_MAX);
    if (idle > 0) longest(open).help(idle, PIECES_AT_ONCE);
    const before = piecesLeft(open);
    const isDone = answered(
      busy.map(({ doorbell }) => doorbell),
      idle > 0 ? 0 : SILENCE_MS,
    );
    busy = busy.filter((_, index) => isDone[index] !== true);
    if (idle <= 0 && !isDone.includes(true) && piecesLeft(open) === before) return;
  }
}

function piecesLeft(runs: readonly Helped[]): number {
  return runs.reduce((sum, { transfer }) => sum + (transfer?.left ?? 0), 0);
}

function longest(runs: readonly Helped[]): Transfer {
  const transfers = runs.map(({ transfer }) => transfer!);
  return transfers.reduce((most, one) => (one.left > most.left ? one : most));
}

/** The engine on the CPUs of `affinity`, from which it was kept while it drove the tasks. */
export class PageHelp {
  readonly #affinity: Buffer;
  readonly #cpus: number;

  constructor(affinity: Buffer) {
    this.#affinity = affinity;
    this.#cpus = countBits(affinity);
  }

  /** For runTogether(). */
  readonly meanwhile = (runs: readonly Run[]): void => {
    if (runs.every(({ transfer }) => transfer === undefined)) return;
    const before = getAffinity(0);
    setAffinity(0, this.#affinity);
    try {
      helpRuns(runs, this.#cpus, areReadable);
    } finally {
      setAffinity(0, before);
    }
  };
}

function areReadable(doorbells: readonly number[], milliseconds: number): boolean[] {
  tellObserver();
  return poll(
    doorbells.map((fd) => ({ fd, events: POLL.in })),
    milliseconds,
  ).map((events) => events !== 0);
}

function countBits(mask: Buffer): number {
  let count = 0;
  for (const byte of mask) for (let bits = byte; bits !== 0; bits &= bits - 1) count += 1;
  return count;
}
