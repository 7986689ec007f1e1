import { type BigIntStats, statSync } from 'node:fs';
import { encodeName } from '@crts/plugin-api';

const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;

/** Memory devices without state of their own, major 1: Documentation/admin-guide/devices.txt. */
const STATELESS: ReadonlyMap<string, string> = new Map([
  ['1:3', 'null'],
  ['1:5', 'zero'],
  ['1:7', 'full'],
  ['1:8', 'random'],
  ['1:9', 'urandom'],
]);

export interface Device {
  readonly mode: number;
  /** `1:3`; what it is otherwise: `ENOENT`, `no device`. */
  readonly number: string;
}

export function isStateless(number: string): boolean {
  return STATELESS.has(number);
}

export function isCharacterDevice(mode: number): boolean {
  return (mode & S_IFMT) === S_IFCHR;
}

/** Linux encodes device numbers in 64 bits as glibc's makedev does. */
export function deviceNumber(rdev: bigint): string {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

/** What a name leads to. */
export function deviceUnder(path: string): Device {
  let stat: BigIntStats;
  try {
    stat = statSync(encodeName(path), { bigint: true });
  } catch (error) {
    return { mode: 0, number: (error as NodeJS.ErrnoException).code ?? 'EIO' };
  }
  const mode = Number(stat.mode);
  return { mode, number: isCharacterDevice(mode) ? deviceNumber(stat.rdev) : 'no device' };
}
