/** struct aio_ring of fs/aio.c: what the mapping of a ring begins with. */
import { readFileSync } from 'node:fs';

export const HEADER_BYTES = 32;
export const EVENT_BYTES = 32;
const MAGIC = 0xa10a10a1;
const PAGE = 4096;

export interface Ring {
  /** Events that fit, one more than may wait. */
  readonly nr: number;
  /** The next one to be read, and where the next one goes. */
  readonly head: number;
  readonly tail: number;
}

/** The header of a ring of `lengthBytes`, or what is wrong with it. */
export function parseRing(header: Buffer, lengthBytes: number): Ring | string {
  const word = (index: number) => header.readUInt32LE(4 * index);
  const [nr, head, tail] = [word(1), word(2), word(3)];
  if (word(4) !== MAGIC || word(7) !== HEADER_BYTES) return 'no header of one';
  if (word(5) !== 1 || word(6) !== 0) return 'a header of a kind that crts does not know';
  if (nr !== (lengthBytes - HEADER_BYTES) / EVENT_BYTES) return `${nr} events in ${lengthBytes} bytes`;
  if (head >= nr || tail >= nr) return `head ${head} and tail ${tail} of ${nr}`;
  return { nr, head, tail };
}

/** What io_setup(2) is to be asked for, so that it makes a ring of `nr` events: ioctx_alloc() and aio_setup_ring(). */
export function requestsOf(nr: number): number {
  return Math.floor((nr - 2) / 2);
}

/** Events of the ring that io_setup(requests) makes on a machine that may have so many CPUs. */
export function eventsOf(requests: number, cpus: number): number {
  const events = Math.max(requests, cpus * 4) * 2 + 2;
  const bytes = Math.ceil((HEADER_BYTES + events * EVENT_BYTES) / PAGE) * PAGE;
  return (bytes - HEADER_BYTES) / EVENT_BYTES;
}

/** CPUs that this machine may have: num_possible_cpus(). */
export function possibleCpus(): number {
  return readFileSync('/sys/devices/system/cpu/possible', 'latin1')
    .trim()
    .split(',')
    .reduce((sum, range) => {
      const [first, last = first] = range.split('-').map(Number) as [number, number?];
      return sum + last! - first + 1;
    }, 0);
}

/** How many requests are made to bring a new ring to where another one is. */
export interface Steps {
  /** Requests whose events are read at once, in portions. */
  readonly read: readonly number[];
  /** Requests whose events stay. */
  readonly left: number;
}

/**
 * Head and tail only move with requests. A new ring takes nr - 1 of them, but CPUs on which the task was meanwhile keep some of
 * that for themselves (get_reqs_available()), less than half in all: a quarter at once always goes.
 */
export function stepsTo({ nr, head, tail }: Ring): Steps {
  const portion = Math.max(1, (nr - 1) >> 2);
  const read: number[] = [];
  for (let done = 0; done < head; done += portion) read.push(Math.min(portion, head - done));
  return { read, left: (tail - head + nr) % nr };
}
