import type { DumpOutcome, RestoreOutcome } from '@crts/core-pstree';
import { ImageWriter } from '@crts/image-io';
import type { Logger } from '@crts/plugin-api';
import { print } from './output';

type StatsKind = 'stats-dump' | 'stats-restore';
type StatsEntry = Record<string, Record<string, number | bigint>>;

/**
 * stats-dump and stats-restore in the work directory, as CRIU writes them, and on stdout if asked. What they tell of is
 * done: a full disk is a warning.
 */
export function reportStats(kind: StatsKind, directory: string, entry: StatsEntry, show: boolean, log: Logger): void {
  if (show) print(statsText(entry));
  try {
    writeStats(kind, directory, entry);
  } catch (error) {
    log.warn({ file: kind }, `statistics not written: ${(error as Error).message}`);
  }
}

function writeStats(kind: StatsKind, directory: string, entry: StatsEntry): void {
  const writer = ImageWriter.open(directory);
  try {
    writer.write(kind, undefined, [entry]);
    writer.publish();
    writer.close();
  } catch (error) {
    writer.abort();
    throw error;
  }
}

/** Times in microseconds. */
export function dumpStats(outcome: DumpOutcome): StatsEntry {
  return {
    dump: {
      freezing_time: outcome.freezingTimeUs,
      frozen_time: outcome.frozenTimeUs,
      memdump_time: outcome.memdumpTimeUs,
      memwrite_time: outcome.memwriteTimeUs,
      pages_scanned: BigInt(outcome.pagesScanned),
      pages_skipped_parent: 0n,
      pages_written: BigInt(outcome.pagesWritten),
      irmap_resolve: 0,
      pages_lazy: 0n,
      // Pages of shared memory are counted with the others; CRIU's test suite demands the fields.
      shpages_scanned: 0n,
      shpages_skipped_parent: 0n,
      shpages_written: 0n,
    },
  };
}

export function restoreStats(outcome: RestoreOutcome): StatsEntry {
  return {
    restore: {
      pages_compared: BigInt(outcome.pagesCompared),
      pages_skipped_cow: BigInt(outcome.pagesSkippedCow),
      forking_time: outcome.forkingTimeUs,
      restore_time: outcome.restoreTimeUs,
      pages_restored: BigInt(outcome.pagesRestored),
    },
  };
}

export function statsText(entry: StatsEntry): string {
  const [[kind, values]] = Object.entries(entry) as [[string, StatsEntry[string]]];
  const lines = Object.entries(values).map(
    ([name, value]) => `  ${name.replaceAll('_', ' ')}: ${value}${name.endsWith('_time') ? ' us' : ''}`,
  );
  return [`${kind} statistics:`, ...lines, ''].join('\n');
}
