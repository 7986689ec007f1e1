import { parseLocks } from './parse';

const fdinfo = (...locks: string[]) =>
  [
    'pos:\t0',
    'flags:\t02100002',
    'mnt_id:\t27',
    'ino:\t2146982',
    ...locks.map((lock, index) => `lock:\t${index + 1}: ${lock}`),
    '',
  ].join('\n');

test('locks as fdinfo prints them (Linux 6.18)', () => {
  const text = fdinfo(
    'POSIX  ADVISORY  WRITE 27590 fe:00:2146982 10 19',
    'FLOCK  ADVISORY  READ 27590 fe:00:2146982 0 EOF',
    'OFDLCK ADVISORY  READ -1 fe:00:2146982 60 EOF',
  );
  expect(parseLocks(text)).toEqual({
    locks: [
      { flag: 1, type: 1, taker: 27590, start: 10n, len: 10n },
      { flag: 2, type: 0, taker: 27590, start: 0n, len: 0n },
      { flag: 4, type: 0, taker: -1, start: 60n, len: 0n },
    ],
    unknown: undefined,
  });
});

test('a lease (Linux 6.18)', () => {
  expect(parseLocks(fdinfo('LEASE  ACTIVE    WRITE 27590 fe:00:612 0 EOF'))).toEqual({
    locks: [{ flag: 8, type: 1, taker: 27590, start: 0n, len: 0n }],
    unknown: undefined,
  });
});

test.each([
  ['UNLCK', 6],
  ['READ', 4],
])('a lease that is being broken, and becomes %s', (becomes, type) => {
  expect(parseLocks(fdinfo(`LEASE  BREAKING  ${becomes} 27590 fe:00:612 0 EOF`))).toEqual({
    locks: [{ flag: 8, type, taker: 27590, start: 0n, len: 0n }],
    unknown: undefined,
  });
});

test('a lock of the last byte that there can be', () => {
  const last = (1n << 63n) - 1n;
  expect(parseLocks(fdinfo(`POSIX  ADVISORY  WRITE 1 fe:00:12 ${last - 1n} ${last - 1n}`)).locks).toEqual([
    { flag: 1, type: 1, taker: 1, start: last - 1n, len: 1n },
  ]);
});

test.each([
  ['LEASE  BREAKING  WRITE 27590 fe:00:612 0 EOF', 'LEASE BREAKING WRITE 27590 fe:00:612 0 EOF'],
  ['LEASE  ACTIVE    UNLCK 27590 fe:00:612 0 EOF', 'LEASE ACTIVE UNLCK 27590 fe:00:612 0 EOF'],
  ['LEASE  BREAKER   READ 27590 fe:00:612 0 EOF', 'LEASE BREAKER READ 27590 fe:00:612 0 EOF'],
  ['DELEG  ACTIVE    READ 27590 fe:00:612 0 EOF', 'DELEG ACTIVE READ 27590 fe:00:612 0 EOF'],
  ['FLOCK  MSNFS     RW    27590 fe:00:612 0 EOF', 'FLOCK MSNFS RW 27590 fe:00:612 0 EOF'],
])('%s is told apart, whatever else is held', (line, unknown) => {
  expect(parseLocks(fdinfo('FLOCK  ADVISORY  READ 1 fe:00:12 0 EOF', line)).unknown).toBe(unknown);
});

test('a line that the kernel left empty is not taken for no lock', () => {
  // Linux before 4.19 printed nothing behind the colon where the owner is in another pid namespace.
  expect(parseLocks('pos:\t0\nlock:\t\n').unknown).toBe('');
});

test('the first kind that is not known is the one told', () => {
  const text = fdinfo('LEASE  BREAKER   READ 1 fe:00:12 0 EOF', 'DELEG  ACTIVE    READ 1 fe:00:12 0 EOF');
  expect(parseLocks(text).unknown).toMatch(/^LEASE/);
});

test('no locks', () => {
  expect(parseLocks(fdinfo())).toEqual({ locks: [], unknown: undefined });
});
