/** The outline of a zstd frame (RFC 8878): enough to know before it is decompressed that it makes no more than it should. */
const MAGIC = 0xfd2fb528;
const RAW = 0;
const RLE = 1;
const RESERVED = 3;
/** A compressed block makes at most this: Block_Maximum_Size. */
const BLOCK_MAX = 128 * 1024;
/** Encoders cut blocks where the data changes; so many that these are exceeded none makes of a frame of ours. */
const BLOCKS_MAX = 512;

/** Throws unless `frame` is exactly one frame, which may hold `plainBytes` and never much more. */
export function checkZstdFrame(frame: Buffer, plainBytes: number): void {
  const bad = (what: string) => new Error(`no zstd frame of ${plainBytes} bytes: ${what}`);
  if (frame.length < 9 || frame.readUInt32LE(0) !== MAGIC) throw bad('no magic');
  const descriptor = frame[4]!;
  const isSingle = (descriptor & 0x20) !== 0;
  const sizeBytes = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  let at = 5 + (isSingle ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!;
  if (at + sizeBytes > frame.length) throw bad('it is cut');
  const size = contentSize(frame, at, sizeBytes);
  if (size !== undefined && size !== BigInt(plainBytes)) throw bad(`it says that it has ${size}`);
  at += sizeBytes;
  let blocks = 0;
  for (let isLast = false; !isLast; blocks++) {
    if (at + 3 > frame.length) throw bad('it is cut');
    const header = frame.readUIntLE(at, 3);
    isLast = (header & 1) !== 0;
    const type = (header >> 1) & 3;
    const length = header >> 3;
    if (type === RESERVED || length > BLOCK_MAX) throw bad('a block is of no known type or size');
    if (type !== RAW && blocks >= BLOCKS_MAX) throw bad(`it has more than ${BLOCKS_MAX} blocks`);
    at += 3 + (type === RLE ? 1 : length);
  }
  if ((descriptor & 4) !== 0) at += 4;
  if (at !== frame.length) throw bad('it ends elsewhere');
}

function contentSize(frame: Buffer, at: number, sizeBytes: number): bigint | undefined {
  if (sizeBytes === 1) return BigInt(frame[at]!);
  if (sizeBytes === 2) return BigInt(frame.readUInt16LE(at) + 256);
  if (sizeBytes === 4) return BigInt(frame.readUInt32LE(at));
  return sizeBytes === 8 ? frame.readBigUInt64LE(at) : undefined;
}
