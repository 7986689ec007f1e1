import type { QueueFacts } from './queue';
import { type Piece, URGENT, withUrgent } from './urgent';

const queueOf = (urgent: QueueFacts['urgent'], more: Partial<QueueFacts> = {}): QueueFacts => ({
  pid: 5,
  fd: 3,
  local: 9,
  type: 1,
  shutdown: 0,
  events: 1,
  waitingBytes: 6,
  peekOffset: -1,
  passesCredentials: false,
  passesProcesses: false,
  urgent,
  ...more,
});

/** A text for each look; one in the end of its room has a `+`. */
const looks = (...texts: string[]): Piece[] =>
  texts.map((text) => ({
    data: Buffer.from(text.replace('+', '')),
    rights: [],
    sizeBytes: text.length,
    isShort: !text.endsWith('+'),
  }));

function show(pieces: readonly Piece[], queue: QueueFacts): string {
  return withUrgent(pieces, queue)
    .map(({ data, urgent }) => `${data}${urgent === URGENT.READ ? '!' : urgent === URGENT.WAITS ? '^' : ''}`)
    .join(' ');
}

const read = { isWaiting: false, isNext: false };
const next = { isWaiting: false, isNext: true };
const waits = { isWaiting: true, isNext: false, byte: 0x58 };

test('marks of bytes that were read: where a look stopped, and before the first', () => {
  expect(show(looks('abc', 'def'), queueOf(read))).toBe('abc ! def');
  expect(show(looks('def'), queueOf(next))).toBe('! def');
  expect(show([], queueOf(next))).toBe('!');
  expect(show(looks('abc+', 'def'), queueOf(read))).toBe('abc def');
});

test('stops that have another reason are no marks', () => {
  const [brings, last] = looks('abc', 'def') as [Piece, Piece];
  expect(show([{ ...brings, rights: [7] }, last], queueOf(read))).toBe('abc def');
  const by = (pid: number) => ({ pid, uid: 0, gid: 0 });
  const writers = (one: number, other: number) => [
    { ...brings, credentials: by(one) },
    { ...last, credentials: by(other) },
  ];
  expect(show(writers(1, 2), queueOf(read, { passesCredentials: true }))).toBe('abc def');
  expect(show(writers(1, 1), queueOf(read, { passesCredentials: true }))).toBe('abc ! def');
  expect(show([brings, last], queueOf(read, { passesProcesses: true }))).toBe('abc def');
});

test('a byte that waits', () => {
  expect(show(looks('abc', 'Xdef'), queueOf(waits))).toBe('abc X^ def');
  expect(show(looks('abc', 'X'), queueOf(waits))).toBe('abc X^');
  expect(show(looks('def'), queueOf({ ...waits, isNext: true }))).toBe('X^ def');
  expect(show(looks('Xdef'), queueOf({ isWaiting: true, isNext: true }))).toBe('X^ def');
});

test.each([
  ['no stop', looks('abcX')],
  ['two stops', looks('abc', 'X', 'def')],
  ['another byte', looks('abc', 'def')],
])('a byte whose place is not seen is refused: %s', (_what, pieces) => {
  expect(() => withUrgent(pieces, queueOf(waits))).toThrow(expect.objectContaining({ code: 'CRTS_SOCKET_URGENT' }));
});
