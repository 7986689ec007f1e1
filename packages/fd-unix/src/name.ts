/** Names of UNIX sockets: man 7 unix. */
import { fstatSync, readlinkSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import { closeFd, rawSyscall, SyscallError } from '@crts/native-syscalls';
import { decodeName, encodeName } from '@crts/plugin-api';

/** SIOCPROTOPRIVATE: opens the file of a bound socket with O_PATH, net/unix/af_unix.c. */
const SIOCUNIXFILE = 0x89e0;
const ENOENT = 2;

/** Where the file of a bound socket is. */
export interface SocketFile {
  readonly path: string;
  readonly deleted: boolean;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly dev: bigint;
  readonly ino: bigint;
}

export function isPath(name: Buffer): boolean {
  return name.length > 0 && name[0] !== 0;
}

/** A path without its NUL, as text. */
export function pathText(name: Buffer): string {
  return decodeName(name.at(-1) === 0 ? name.subarray(0, -1) : name);
}

/** As people write it: abstract names with @ for NUL. */
export function showName(name: Buffer): string {
  return isPath(name) ? pathText(name) : name.toString('latin1').replaceAll('\0', '@');
}

/** sockaddr_un. A path's NUL is left out where it does not fit: the kernel adds it. */
export function socketAddress(name: Buffer): Buffer {
  const family = Buffer.from([1, 0]);
  const path = isPath(name) && name.at(-1) === 0 && name.length > 108 ? name.subarray(0, -1) : name;
  return Buffer.concat([family, path]);
}

/** Of a socket bound to a path; undefined when it is bound to none. */
export function socketFile(local: number): SocketFile | undefined {
  const fd = rawSyscall('ioctl', local, SIOCUNIXFILE, 0);
  if (fd === -ENOENT) return undefined;
  if (fd < 0) throw new SyscallError('ioctl(SIOCUNIXFILE)', -fd);
  try {
    const { mode, uid, gid, nlink, dev, ino } = fstatSync(fd, { bigint: true });
    const link = decodeName(readlinkSync(`/proc/self/fd/${fd}`, 'buffer'));
    const deleted = nlink === 0n || link.endsWith(' (deleted)');
    return {
      path: deleted ? link.replace(/ \(deleted\)$/, '') : link,
      deleted,
      mode: Number(mode),
      uid: Number(uid),
      gid: Number(gid),
      nlink: Number(nlink),
      dev,
      ino,
    };
  } finally {
    closeFd(fd);
  }
}

/** Directory that a relative name counts from; undefined when the file's path does not end with the name. */
export function directoryOf(name: string, path: string): string | undefined {
  if (!path.endsWith(`/${name}`)) return undefined;
  return path.slice(0, -name.length - 1) || '/';
}

/** Whether a name leads to the socket's own file. */
export function leadsTo(path: string, file: SocketFile): boolean {
  try {
    const { dev, ino } = statSync(encodeName(path), { bigint: true });
    return dev === file.dev && ino === file.ino;
  } catch {
    return false;
  }
}

export function join(directory: string, name: string): string {
  return posix.join(directory, name);
}
