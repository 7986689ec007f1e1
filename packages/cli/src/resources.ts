/** Options that name resources: what is left outside, what comes back by number, how large an unlinked file may be. */
import { fstatSync, readlinkSync, writeSync } from 'node:fs';
import {
  type ExternalResource,
  ExternalResources,
  type InheritedFd,
  InheritedFds,
  parseExternal,
  parseInheritFd,
} from '@crts/plugin-api';
import { badValue, notInherited } from './errors';
import type { Parsed } from './parse';

/** CRIU's default of --ghost-limit. */
const GHOST_LIMIT = 1024n * 1024n;
const UNITS: Readonly<Record<string, bigint>> = { '': 1n, K: 1n << 10n, M: 1n << 20n, G: 1n << 30n };
/** Beyond the largest file of any filesystem, and still a file offset. */
const SIZE_MAX = 1n << 62n;
/** Kinds of descriptors that node has of its own: a number that the caller did not open may be one of them. */
const OWN = /^anon_inode:\[(eventpoll|eventfd|io_uring)\]$/;

/** A size with CRIU's suffixes. */
export function ghostLimit(text: string | undefined): bigint {
  if (text === undefined) return GHOST_LIMIT;
  const [, digits, unit] = /^(\d{1,19})([KMG]?)$/i.exec(text) ?? [];
  const size = digits === undefined ? SIZE_MAX : BigInt(digits) * UNITS[unit!.toUpperCase()]!;
  if (size >= SIZE_MAX) throw badValue('--ghost-limit', text, 'a size, such as 65536, 64K or 2G');
  return size;
}

export function externalResources(parsed: Parsed): ExternalResources {
  const given = (parsed.values.get('external') ?? []).map((text) => {
    const resource = parseExternal(text);
    if (resource === undefined) throw badValue('--external', text, 'TYPE[ID] or TYPE[ID]:VALUE, such as file[3d:1a2b]');
    return resource;
  });
  return new ExternalResources([...given, ...(parsed.values.get('ext-unix-sk') ?? []).flatMap(unixSockets)]);
}

/** `--ext-unix-sk=12,13`; without inodes it is for all of them. */
function unixSockets(text: string): ExternalResource[] {
  return text
    .split(',')
    .filter((word) => word !== '')
    .map((word) => {
      if (!/^[1-9]\d*$/.test(word)) throw badValue('--ext-unix-sk', text, 'a list of inode numbers');
      return { kind: 'unix', id: word, value: undefined };
    });
}

export function inheritedFds(texts: readonly string[]): InheritedFds {
  const fds: InheritedFd[] = [];
  for (const text of texts) {
    if (wroteMarker(text)) continue;
    const inherited = parseInheritFd(text);
    if (inherited === undefined) throw badValue('--inherit-fd', text, 'fd[N]:RESOURCE, such as fd[7]:file[3d:1a2b]');
    if (!isOpen(inherited.fd)) throw notInherited(inherited.fd, text);
    fds.push(inherited);
  }
  return new InheritedFds(fds);
}

/** CRIU's `debug[N]:TEXT` writes TEXT to descriptor N, as a mark between what is written before and after the restore. */
function wroteMarker(text: string): boolean {
  const [, fd, mark] = /^debug\[(\d{1,9})\]:(.+)$/s.exec(text) ?? [];
  if (mark === undefined) return false;
  if (!isOpen(Number(fd))) throw notInherited(Number(fd), text);
  writeSync(Number(fd), mark);
  return true;
}

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd);
    return !OWN.test(readlinkSync(`/proc/self/fd/${fd}`));
  } catch {
    return false;
  }
}
