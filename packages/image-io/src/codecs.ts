/** The compressions, each by a library that is loaded when it is asked for: docs/adr/0023-compressed-pages.md. */
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { CrtsError } from '@crts/plugin-api';
import type { CodecName } from './compressed-names';
import { checkZstdFrame } from './zstd-frame';

export interface Codec {
  readonly name: CodecName;
  /** One frame of the format. Runs beside this thread. */
  compress(plain: Buffer, level: number | undefined): Promise<Buffer>;
  /** What one frame holds. `plainBytes` is what it is to be: no more is allocated, whatever the frame says. */
  decompress(frame: Buffer, plainBytes: number): Promise<Buffer>;
  /** The same in this thread: for one who waits for it. */
  decompressSync(frame: Buffer, plainBytes: number): Buffer;
}

interface Lz4Module {
  compressFrame(data: Buffer): Promise<Buffer>;
  decompressFrame(data: Buffer): Promise<Buffer>;
  decompressFrameSync(data: Buffer): Buffer;
}

/** One compressor of a level; calls run side by side. */
interface ZstdModule {
  compress(data: Buffer, level: number): Promise<Buffer>;
  decompress(data: Buffer): Promise<Buffer>;
  decompressSync(data: Buffer): Buffer;
}

interface ZstdLibrary {
  readonly Encoder: new (level: number) => { encode(data: Buffer): Promise<Buffer> };
  readonly Decoder: new () => { decode(data: Buffer): Promise<Buffer>; decodeSync(data: Buffer): Buffer };
}

/** Of Node 22.15: what @types/node of 20 does not have. */
interface ZstdOfNode {
  readonly zstdCompress?: (data: Buffer, options: object, done: (error: Error | null, out: Buffer) => void) => void;
  readonly zstdDecompress?: (data: Buffer, options: object, done: (error: Error | null, out: Buffer) => void) => void;
  readonly zstdDecompressSync?: (data: Buffer) => Buffer;
  readonly constants: { readonly ZSTD_c_compressionLevel?: number };
}

export function loadCodec(name: CodecName): Codec {
  return name === 'lz4' ? lz4() : zstd();
}

function lz4(): Codec {
  const { compressFrame, decompressFrame, decompressFrameSync } = load<Lz4Module>('lz4', 'lz4-napi');
  return {
    name: 'lz4',
    compress: (plain) => compressFrame(plain),
    // The format makes at most 255 bytes of one.
    decompress: (frame) => decompressFrame(frame),
    decompressSync: (frame) => decompressFrameSync(frame),
  };
}

const LEVEL = 3;

function zstd(): Codec {
  const { compress, decompress, decompressSync } = zstdOfNode() ?? zstdOfLibrary();
  return {
    name: 'zstd',
    compress: (plain, level = LEVEL) => compress(plain, level),
    decompress: async (frame, plainBytes) => {
      checkZstdFrame(frame, plainBytes);
      return decompress(frame);
    },
    decompressSync: (frame, plainBytes) => {
      checkZstdFrame(frame, plainBytes);
      return decompressSync(frame);
    },
  };
}

function zstdOfNode(): ZstdModule | undefined {
  const { zstdCompress, zstdDecompress, zstdDecompressSync, constants } = zlib as unknown as ZstdOfNode;
  if (zstdCompress === undefined || zstdDecompress === undefined || zstdDecompressSync === undefined) return undefined;
  const compress = promisify(zstdCompress);
  const decompress = promisify(zstdDecompress);
  return {
    compress: (data, level) => compress(data, { params: { [constants.ZSTD_c_compressionLevel!]: level } }),
    decompress: (data) => decompress(data, {}),
    decompressSync: (data) => zstdDecompressSync(data),
  };
}

function zstdOfLibrary(): ZstdModule {
  const { Encoder, Decoder } = load<ZstdLibrary>('zstd', '@toondepauw/node-zstd');
  const encoders = new Map<number, InstanceType<ZstdLibrary['Encoder']>>();
  const decoder = new Decoder();
  return {
    compress: (data, level) => {
      const encoder = encoders.get(level) ?? new Encoder(level);
      encoders.set(level, encoder);
      return encoder.encode(data);
    },
    decompress: (data) => decoder.decode(data),
    decompressSync: (data) => decoder.decodeSync(data),
  };
}

function load<T>(codec: string, library: string): T {
  try {
    return require(library) as T;
  } catch (cause) {
    throw new CrtsError({
      code: 'CRTS_COMPRESSION_LIBRARY',
      kind: 'refused',
      what: `the library for ${codec} cannot be loaded (${library})`,
      hint: `It comes with crts unless optional dependencies are left out: npm install ${library}, beside crts.`,
      cause,
    });
  }
}
