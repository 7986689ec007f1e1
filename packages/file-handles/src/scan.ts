/** Names by search, for file systems whose handles do not open: as CRIU's irmap, the likely places first. */
import { type Dirent, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { decodeName, encodeName } from '@crts/plugin-api';
import type { FinderOptions, WatchedObject } from './finder';
import { leadsTo } from './handle';
import type { Mount } from './mounts';

/** Names looked at for one object before crts gives up. */
const NAMES_MAX = 200_000;
/** CRIU's list of places where watches are usual. */
const USUAL = [
  '/etc',
  '/var/spool',
  '/var/log',
  '/usr/share/dbus-1/services',
  '/usr/share/dbus-1/system-services',
  '/var/lib/polkit-1/localauthority',
  '/usr/share/polkit-1/actions',
  '/lib/udev',
];

export function scan(object: WatchedObject, options: FinderOptions, mounts: readonly Mount[]): string | undefined {
  const budget = { left: NAMES_MAX };
  for (const path of candidates(options.proc)) if (isObject(path, object)) return path;
  for (const path of [...(options.scanPaths ?? []), ...USUAL, ...mounts.map((mount) => mount.point)]) {
    const found = search(path, object, budget);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What the program was told on its command line, and where it works. */
function candidates(proc: string): string[] {
  try {
    const cwd = decodeName(readlinkSync(`${proc}/cwd`, 'buffer'));
    const words = decodeName(readFileSync(`${proc}/cmdline`)).split('\0');
    return [cwd, ...words.filter((word) => word !== '').map((word) => resolve(cwd, word))];
  } catch {
    return [];
  }
}

function isObject(path: string, object: WatchedObject): boolean {
  if (object.handle !== undefined) return leadsTo(path, object.handle);
  try {
    const stat = lstatSync(encodeName(path), { bigint: true });
    return stat.ino === object.ino && internalDevice(stat.dev) === object.device;
  } catch {
    return false;
  }
}

/** major << 20 | minor of what stat(2) prints: new_encode_dev(), include/linux/kdev_t.h. */
function internalDevice(dev: bigint): number {
  return Number(((dev & 0xfff00n) << 12n) | (dev & 0xffn) | ((dev >> 12n) & 0xfff00n));
}

/** Breadth first, and never into another file system than the one of `top`. */
function search(top: string, object: WatchedObject, budget: { left: number }): string | undefined {
  if (isObject(top, object)) return top;
  const device = deviceOf(top);
  const directories = [top];
  for (let directory = directories.shift(); directory !== undefined; directory = directories.shift()) {
    for (const entry of list(directory)) {
      if (budget.left-- <= 0) return undefined;
      const path = join(directory, decodeName(entry.name));
      if (isObject(path, object)) return path;
      if (entry.isDirectory() && deviceOf(path) === device) directories.push(path);
    }
  }
  return undefined;
}

function deviceOf(path: string): bigint | undefined {
  try {
    return lstatSync(encodeName(path), { bigint: true }).dev;
  } catch {
    return undefined;
  }
}

function list(directory: string): Dirent<Buffer>[] {
  try {
    return readdirSync(encodeName(directory), { withFileTypes: true, encoding: 'buffer' });
  } catch {
    return [];
  }
}
