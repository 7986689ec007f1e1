import { addon } from './addon';
import { SyscallError } from './errors';

/** Bytes that one checksum is of. */
export const CHECKSUM_BLOCK = 4096;

/** CRC-32C of each block of a stretch of a file, the last one maybe shorter: four bytes each, little-endian. */
export function blockChecksums(fd: number, offset: bigint, lengthBytes: bigint): Buffer {
  const blocks = (lengthBytes + BigInt(CHECKSUM_BLOCK - 1)) / BigInt(CHECKSUM_BLOCK);
  const sums = Buffer.alloc(4 * Number(blocks));
  const result = addon().checksum(fd, offset, lengthBytes, sums);
  if (result < 0)
    throw new SyscallError(`pread64(fd ${fd}, ${lengthBytes} bytes at 0x${offset.toString(16)})`, -result);
  return sums;
}
