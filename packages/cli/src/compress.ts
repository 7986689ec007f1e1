/** `--compress`, `crts compress` and `crts decompress`: pages images smaller, and back. */
import {
  type Compression,
  compressImages,
  decompressImages,
  isCompressed,
  loadCodec,
  openPlainPages,
  openPlainPagesLate,
  type PlainPages,
} from '@crts/image-io';
import { memfd } from '@crts/native-syscalls';
import { badValue, missingOption } from './errors';
import type { RunLog } from './log';
import type { Parsed } from './parse';
import { type Directories, last } from './run';

const LEVEL_MAX = 19;

/** Undefined where none is asked for. Its library is loaded: what is missing is told before anything is done. */
export function compressionOf(parsed: Parsed): Compression | undefined {
  const text = last(parsed, 'compress');
  if (text === undefined) return undefined;
  const match = /^(?:(lz4)|zstd(?::(\d{1,2}))?)$/.exec(text);
  const level = match?.[2] === undefined ? undefined : Number(match[2]);
  if (match === null || level === 0 || (level ?? 1) > LEVEL_MAX)
    throw badValue('--compress', text, `lz4, zstd, or zstd:LEVEL with a level from 1 to ${LEVEL_MAX}`);
  const codec = match[1] === undefined ? 'zstd' : 'lz4';
  loadCodec(codec);
  return { codec, level };
}

/** The dump is complete, and the program may be gone: what fails leaves plain images, and is told. */
export async function compressDump(
  parsed: Parsed,
  compression: Compression,
  { images }: Directories,
  log: RunLog,
): Promise<void> {
  try {
    await compress(parsed, compression, images, log);
  } catch (error) {
    log.warn({ error: String(error) }, `the images are complete, and not compressed: ${(error as Error).message}`);
  }
}

export async function compressSet(parsed: Parsed, { images }: Directories, log: RunLog): Promise<void> {
  const compression = compressionOf(parsed);
  if (compression === undefined) throw missingOption('--compress', 'it says how');
  await compress(parsed, compression, images, log);
}

async function compress(parsed: Parsed, compression: Compression, images: string, log: RunLog): Promise<void> {
  const bytes = await compressImages(images, compression, parsed.switches.has('sync'));
  log.info(bytes, `${bytes.plainBytes} bytes of pages compressed to ${bytes.compressedBytes}`);
}

export async function decompressSet(parsed: Parsed, { images }: Directories, log: RunLog): Promise<void> {
  const bytes = await decompressImages(images, parsed.switches.has('sync'));
  log.info(bytes, `${bytes.compressedBytes} bytes of pages decompressed to ${bytes.plainBytes}`);
}

/** What a restore reads in the place of compressed images; `late`: part by part, when it asks for them. */
export async function plainPages({ images }: Directories, late: boolean): Promise<PlainPages | undefined> {
  if (!isCompressed(images)) return undefined;
  return (late ? openPlainPagesLate : openPlainPages)(images, () => memfd('crts-pages', 0));
}
