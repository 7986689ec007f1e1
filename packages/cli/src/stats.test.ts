import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bufferSource, imageKind, readItems } from '@crts/image-io';
import { dumpStats, reportStats, restoreStats, statsText } from './stats';

const DUMP = {
  freezingTimeUs: 1,
  frozenTimeUs: 2,
  memdumpTimeUs: 3,
  memwriteTimeUs: 4,
  pagesScanned: 5,
  pagesWritten: 6,
};
const RESTORE = {
  pid: 7,
  forkingTimeUs: 8,
  restoreTimeUs: 9,
  pagesCompared: 12,
  pagesSkippedCow: 11,
  pagesRestored: 10,
};
const silent = { debug() {}, info() {}, warn: jest.fn() };

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crts-stats-'));
  silent.warn.mockClear();
});
afterEach(() => rmSync(directory, { recursive: true }));

function readStats(kind: string) {
  const source = bufferSource(readFileSync(join(directory, kind)));
  return [...readItems(source, imageKind(kind), kind)].map((item) => item.value);
}

test('statistics are written as images of their own and replace older ones', () => {
  for (const pagesWritten of [5, 6])
    reportStats('stats-dump', directory, dumpStats({ ...DUMP, pagesWritten }), false, silent);
  reportStats('stats-restore', directory, restoreStats(RESTORE), false, silent);
  expect(readStats('stats-dump')).toMatchObject([
    { dump: { freezing_time: 1, frozen_time: 2, memdump_time: 3, memwrite_time: 4, pages_written: 6n } },
  ]);
  expect(readStats('stats-restore')).toMatchObject([
    {
      restore: {
        pages_compared: 12n,
        pages_skipped_cow: 11n,
        forking_time: 8,
        restore_time: 9,
        pages_restored: 10n,
      },
    },
  ]);
  expect(silent.warn).not.toHaveBeenCalled();
});

test('what cannot be written is a warning: the action itself is done', () => {
  reportStats('stats-dump', join(directory, 'none'), dumpStats(DUMP), false, silent);
  expect(silent.warn).toHaveBeenCalledTimes(1);
});

test('shown with units', () => {
  const text = statsText(restoreStats(RESTORE));
  expect(text).toContain('restore statistics:\n');
  expect(text).toContain('  restore time: 9 us\n');
  expect(text).toContain('  pages restored: 10\n');
});
