/** Extended attributes, of which access control lists are some (man 7 xattr, man 5 acl). */
import { rawSyscall } from '@crts/native-syscalls';
import { decodeName } from '@crts/plugin-api';
import { cName } from './calls';

/** XATTR_NAME_MAX, XATTR_SIZE_MAX, XATTR_LIST_MAX: include/uapi/linux/limits.h. */
export const NAME_MAX = 255;
export const VALUE_MAX = 65536;
const LIST_MAX = 65536;
const CARRIED = /^(user\.|trusted\.|security\.|system\.posix_acl_(access|default)$)/;

export interface Xattr {
  readonly name: string;
  readonly value: Buffer;
}

export function isCarried(name: string): boolean {
  return CARRIED.test(name) && name.length <= NAME_MAX && !name.includes('\0');
}

/** Those of the file under `path`, which is followed; `lost` has the names of what is not carried. */
export function readXattrs(path: string): { xattrs: Xattr[]; lost: string[] } {
  const list = Buffer.alloc(LIST_MAX);
  const size = rawSyscall('listxattr', cName(path), list, list.length);
  const xattrs: Xattr[] = [];
  const lost: string[] = [];
  // A filesystem without attributes answers ENOTSUP.
  if (size <= 0) return { xattrs, lost };
  for (const name of decodeName(list.subarray(0, size)).split('\0').filter(Boolean)) {
    const value = Buffer.alloc(VALUE_MAX);
    const length = isCarried(name) ? rawSyscall('getxattr', cName(path), cName(name), value, value.length) : -1;
    if (length < 0) lost.push(name);
    else xattrs.push({ name, value: Buffer.from(value.subarray(0, length)) });
  }
  return { xattrs, lost };
}

/** Names of those that the file did not take. */
export function writeXattrs(path: string, isFollowed: boolean, xattrs: readonly Xattr[]): string[] {
  const call = isFollowed ? 'setxattr' : 'lsetxattr';
  return xattrs
    .filter(({ name, value }) => rawSyscall(call, cName(path), cName(name), value, value.length, 0) < 0)
    .map(({ name }) => name);
}
