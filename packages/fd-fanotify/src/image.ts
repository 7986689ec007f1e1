import { handleOf } from '@crts/file-handles';
import type { FanotifyFileEntry, FanotifyMarkEntry } from '@crts/image-io';
import { encodeName } from '@crts/plugin-api';
import { badEntry } from './errors';
import { FAN_MARK_FILESYSTEM, MARK_STATE } from './flags';

export const MARK_INODE = 1;
export const MARK_MOUNT = 2;
const PATH_MAX = 4096;
const MARKS_MAX = 1 << 24;

export function checkGroup({ id, mark }: FanotifyFileEntry): void {
  if (mark.length > MARKS_MAX) throw badEntry(id, `${mark.length} marks`);
  for (const one of mark) checkMark(id, one);
}

function checkMark(id: number, { type, mflags, ie, me }: FanotifyMarkEntry): void {
  const known = type === MARK_MOUNT ? MARK_STATE | FAN_MARK_FILESYSTEM : MARK_STATE;
  if ((mflags & ~known) !== 0) throw badEntry(id, `a mark has the flags 0x${mflags.toString(16)}`);
  if (type === MARK_INODE && ie !== undefined) {
    if (handleOf(ie.f_handle) === 'bad') throw badEntry(id, `a mark has a handle of ${ie.f_handle.bytes} bytes`);
    checkPath(id, ie.f_handle.path);
  } else if (type === MARK_MOUNT && me !== undefined) {
    if (me.path === undefined) throw badEntry(id, 'a mount of a dumped mount namespace is marked');
    checkPath(id, me.path);
  } else throw badEntry(id, `a mark of kind ${type}`);
}

function checkPath(id: number, path: string | undefined): void {
  if (path === undefined) return;
  if (!path.startsWith('/') || path.includes('\0') || encodeName(path).length >= PATH_MAX)
    throw badEntry(id, `"${path}" is no absolute path`);
}
