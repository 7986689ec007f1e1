import { Progress, progressText } from './progress';

const SECOND = 1_000_000_000n;
const MIB = 1024n * 1024n;

test.each([
  [0n, undefined, 0n, '0 B sent, 0 B/s'],
  [100n * MIB, 300n * MIB, SECOND, '100 MiB of 300 MiB sent, 100 MiB/s, 2 s left'],
  [1536n * MIB, undefined, 2n * SECOND, '1.5 GiB sent, 768 MiB/s'],
  [MIB, 1024n * MIB, SECOND, '1.0 MiB of 1.0 GiB sent, 1.0 MiB/s, 17 min left'],
  [2n * MIB, MIB, SECOND, '2.0 MiB sent, 2.0 MiB/s'],
])('%s of %s after %s ns', (done, total, elapsed, text) => {
  expect(progressText('sent', done, total, elapsed)).toBe(text);
});

test('short transfers say nothing; long ones write one line over and over, and take it away', () => {
  let now = 0n;
  const written: string[] = [];
  const progress = new Progress({ what: 'sent', now: () => now, write: (text) => written.push(text) });
  progress.add(MIB);
  progress.end();
  expect(written).toEqual([]);
  progress.expect(10n * MIB);
  now = SECOND;
  progress.add(MIB);
  progress.add(MIB);
  progress.end();
  expect(written).toEqual(['\r\x1b[K2.0 MiB of 10 MiB sent, 2.0 MiB/s, 4 s left', '\r\x1b[K']);
});
