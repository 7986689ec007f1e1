import type { DumpOutcome, RestoreOutcome } from '@crts/core-pstree';
import { ImageWriter } from '@crts/image-io';

/** stats-dump and stats-restore in the work directory, as CRIU writes them. Times in microseconds. */
export function writeStats(
  kind: 'stats-dump' | 'stats-restore',
  directory: string,
  entry: Record<string, unknown>,
): void {
  const writer = ImageWriter.open(directory);
  try {
    writer.write(kind, undefined, [entry]);
    writer.publish();
  } catch (error) {
    writer.abort();
    throw error;
  }
}

export function dumpStats(outcome: DumpOutcome) {
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
    },
  };
}

export function restoreStats(outcome: RestoreOutcome) {
  return {
    restore: {
      pages_compared: 0n,
      pages_skipped_cow: 0n,
      forking_time: outcome.forkingTimeUs,
      restore_time: outcome.restoreTimeUs,
      pages_restored: BigInt(outcome.pagesRestored),
    },
  };
}

export function showStats(entry: Record<string, Record<string, unknown>>): string {
  const [[kind, values]] = Object.entries(entry) as [[string, Record<string, unknown>]];
  const lines = Object.entries(values).map(
    ([name, value]) => `  ${name.replaceAll('_', ' ')}: ${value}${name.endsWith('_time') ? ' us' : ''}`,
  );
  return [`${kind} statistics:`, ...lines, ''].join('\n');
}
