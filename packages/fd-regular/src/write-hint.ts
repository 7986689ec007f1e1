/** How long what is written to a file is expected to live: F_SET_RW_HINT, man 2 fcntl. It is the inode's, and lives as long as that is in memory. */
import { rawSyscall } from '@crts/native-syscalls';
import type { Program, Result } from '@crts/plugin-api';

const F_GET_RW_HINT = 1035;
const F_SET_RW_HINT = 1036;
/** RWH_WRITE_LIFE_EXTREME. */
const HINT_MAX = 5;

/** 0, "not set", where the kernel or the file has none. */
export function writeHint(fd: number): number {
  const hint = Buffer.alloc(8);
  return rawSyscall('fcntl', fd, F_GET_RW_HINT, hint) === 0 ? Number(hint.readBigUInt64LE(0)) : 0;
}

export function isWriteHint(hint: number): boolean {
  return hint <= HINT_MAX;
}

/** A hint that cannot be given changes nothing that a program could see but the hint. */
export function emitWriteHint(program: Program, fd: Result, hint: number): void {
  const value = Buffer.alloc(8);
  value.writeBigUInt64LE(BigInt(hint));
  program.call('fcntl', [fd, F_SET_RW_HINT, program.bytes(value)], {
    expect: 'any',
    what: 'how long its contents are to live',
  });
}
