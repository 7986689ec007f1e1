import { parseLocks } from './parse';

test('locks as fdinfo prints them', () => {
  const fdinfo = [
    'pos:\t0',
    'flags:\t0100002',
    'lock:\t1: POSIX  ADVISORY  WRITE 612 fe:00:1234 10 19',
    'lock:\t2: FLOCK  ADVISORY  READ 612 fe:00:1234 0 EOF',
    'lock:\t3: OFDLCK ADVISORY  READ -1 fe:00:1234 5 EOF',
    'lock:\t4: LEASE  ACTIVE    READ 612 fe:00:1234 0 EOF',
    '',
  ].join('\n');
  expect(parseLocks(fdinfo, 612, 3)).toEqual([
    { flag: 1, type: 1, pid: 612, fd: 3, start: 10n, len: 10n },
    { flag: 2, type: 0, pid: 612, fd: 3, start: 0n, len: 0n },
    { flag: 4, type: 0, pid: 612, fd: 3, start: 5n, len: 0n },
  ]);
});
