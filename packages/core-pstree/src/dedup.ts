import { ImageReader } from '@crts/image-io';
import type { ImageSource, Logger } from '@crts/plugin-api';
import { buildRegistry, type Registry } from './registry';
import type { DedupRequest } from './requests';

/** `crts dedup`: pages that the set has itself are taken out of those that it builds on. */
export function dedupImages({ imagesDir, log, plugins }: DedupRequest): void {
  const { pages } = buildRegistry(plugins);
  const reader = ImageReader.open(imagesDir);
  try {
    tell(log, pages.dedup(reader));
  } finally {
    reader.close();
  }
}

/** After a dump with --auto-dedup. The set is complete without it, and the program may be gone: what fails is told. */
export function dedupAfterDump({ pages }: Registry, imagesDir: string, log: Logger): void {
  attempt(log, () => {
    const reader = ImageReader.open(imagesDir);
    try {
      if (reader.parent() !== undefined) tell(log, pages.dedup(reader));
    } finally {
      reader.close();
    }
  });
}

/** After a restore with --auto-dedup: the tree runs. */
export function punchAfterRestore({ pages }: Registry, source: ImageSource, log: Logger): void {
  attempt(log, () => tell(log, pages.punchRestored(source)));
}

function tell(log: Logger, bytes: bigint): void {
  log.info({ bytes: Number(bytes) }, 'deduplicated');
}

function attempt(log: Logger, action: () => void): void {
  try {
    action();
  } catch (error) {
    log.warn({ error: String(error) }, `not deduplicated: ${(error as Error).message}`);
  }
}
