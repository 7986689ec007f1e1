/** CRIU's file validation: is the file under the name the one that was dumped? Asked before anything is created. */
import type { BigIntStats } from 'node:fs';
import type { RegFileEntry } from '@crts/image-io';
import { encodeName, type RunOptions } from '@crts/plugin-api';
import { buildIdOfPath } from './build-id';
import { badEntry, changed, gone, modeChanged, notOpened, otherMountNamespace } from './errors';
import { O_PATH, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './open-flags';
import { isStats, statName } from './stat-name';
import { isWriteHint } from './write-hint';

const PATH_MAX = 4096;
const EXTERNAL = /^file\[[0-9a-f]{1,8}:[0-9a-f]{1,16}\]$/;
const POSITION_END = 1n << 63n;
/** The format's "no position". */
export const NO_POSITION = (1n << 64n) - 1n;
const PERMISSIONS = 0o777;
const TYPES: readonly number[] = [S_IFREG, S_IFDIR, S_IFLNK];
/** A directory of the task under restore does not exist yet; the open inside the task decides. */
const OF_A_PROCESS = /^\/proc\/\d+(\/|$)/;

/** Fields that no dump writes are refused before they reach a system call. */
export function checkEntry(entry: RegFileEntry): void {
  const { id, name, pos, mode, mnt_id } = entry;
  if (entry.ext === true) {
    if (!EXTERNAL.test(name)) throw badEntry(id, `"${name}" names no external file`);
  } else if (!name.startsWith('/') || name.includes('\0') || encodeName(name).length >= PATH_MAX)
    throw badEntry(id, `"${name}" is no absolute path`);
  if (entry.crts_write_hint !== undefined && !isWriteHint(entry.crts_write_hint))
    throw badEntry(id, `write hint ${entry.crts_write_hint}`);
  if (pos >= POSITION_END && pos !== NO_POSITION) throw badEntry(id, `offset ${pos} is out of range`);
  if (mode !== undefined && (mode & S_IFMT) === S_IFLNK && (entry.flags & O_PATH) === 0)
    throw badEntry(id, 'a symbolic link that is open without O_PATH');
  if (mnt_id !== undefined && mnt_id !== -1) throw otherMountNamespace(name, mnt_id);
}

/** Type, mode, size and build id, as far as the entry has them, of the file under a name. */
export function validateFile(entry: RegFileEntry, name: string, options: RunOptions): void {
  const { mode, size } = entry;
  const now = statName(name, mode ?? 0);
  if (!isStats(now)) {
    if (now === 'ENOENT' && OF_A_PROCESS.test(name)) return;
    throw now === 'ENOENT' ? gone(name) : notOpened(name, now);
  }
  const modeNow = Number(now.mode);
  const typeNow = modeNow & S_IFMT;
  // Without a mode in the entry (old images) at least nothing is opened that blocks or acts, as FIFOs and devices do.
  if (mode === undefined ? !TYPES.includes(typeNow) : typeNow !== (mode & S_IFMT))
    throw changed(name, 'it is of another type');
  const ignored = options.skipFileRwxCheck === true ? PERMISSIONS : 0;
  if (mode !== undefined && (modeNow & ~ignored) !== (mode & ~ignored)) throw modeChanged(name, modeNow, mode);
  if (size !== undefined && typeNow === S_IFREG && now.size !== size)
    throw changed(name, `size ${now.size}, was ${size}`);
  if (entry.build_id.length > 0 && options.fileValidation !== 'filesize') {
    const id = buildIdNow(name, now, options);
    if (id.length !== entry.build_id.length || id.some((word, index) => word !== entry.build_id[index]))
      throw changed(name, 'another build (build id differs)');
  }
}

/** A library that is open many times is looked into once in a run. */
const buildIds = new WeakMap<RunOptions, Map<string, number[]>>();

function buildIdNow(name: string, { dev, ino, size, ctimeNs }: BigIntStats, options: RunOptions): number[] {
  let known = buildIds.get(options);
  if (known === undefined) {
    known = new Map();
    buildIds.set(options, known);
  }
  const key = `${dev}:${ino} ${size} ${ctimeNs}`;
  let id = known.get(key);
  if (id === undefined) {
    id = buildIdOfPath(name);
    known.set(key, id);
  }
  return id;
}
