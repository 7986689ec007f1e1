import { pageStoreOf } from '@crts/core-pstree';
import { ImageReader } from '@crts/image-io';
import { closeFd } from '@crts/native-syscalls';
import { receivePages, StoredPages } from '@crts/page-server';
import { type Connection, Progress, servePages } from '@crts/page-xfer';
import { print } from './output';
import type { Parsed } from './parse';
import { type Directories, type EngineOptions, last } from './run';
import { inBackground, listen, portOf, serverConnection, tellReady } from './transfer';

/** Takes the pages of one dump, or gives pages to one lazy restore. */
export async function pageServer(parsed: Parsed, { images, work }: Directories, options: EngineOptions): Promise<void> {
  const { log, plugins } = options;
  const isGiven = parsed.values.has('ps-socket');
  const listener = isGiven ? undefined : await listen(parsed);
  if (listener !== undefined && parsed.switches.has('restore-detached')) {
    inBackground(parsed, work, listener.fd);
    closeFd(listener.fd);
    return;
  }
  if (listener !== undefined) {
    log.info({}, `listening on ${listener.at}`);
    // Who let the kernel choose the port has to learn it.
    if (portOf(parsed) === 0 && !parsed.values.has('listen-fd')) print(`listening on ${listener.at}\n`);
  }
  const connection = await serverConnection(parsed, () => tellReady(parsed), listener);
  log.info({ peer: connection.peer }, 'connected');
  try {
    if (parsed.switches.has('lazy-pages')) {
      const bytes = serveStored(connection, images, plugins);
      log.info({ bytes: Number(bytes) }, 'the restore has all pages');
      return;
    }
    const { owners, bytes } = receivePages(connection, {
      imagesDir: images,
      prevImagesDir: last(parsed, 'prev-images-dir'),
      autoDedup: parsed.switches.has('auto-dedup'),
      pages: pageStoreOf(plugins),
      log,
      progress: Progress.onTerminal('received'),
    });
    log.info({ images: owners, bytes: Number(bytes) }, 'all pages are stored');
  } finally {
    connection.end?.();
    if (connection.isBorrowed !== true) closeFd(connection.socket);
  }
}

/** Gives pages of the images to a lazy restore. */
function serveStored(connection: Connection, images: string, plugins: EngineOptions['plugins']): bigint {
  const reader = ImageReader.open(images);
  try {
    const provider = new StoredPages(reader, pageStoreOf(plugins));
    return servePages(connection, provider, Progress.onTerminal('sent'));
  } finally {
    reader.close();
  }
}
