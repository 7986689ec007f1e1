import { handleOf } from '@crts/file-handles';
import type { InotifyFileEntry, InotifyWdEntry } from '@crts/image-io';
import { encodeName } from '@crts/plugin-api';
import { badEntry } from './errors';
import { isMask } from './mask';

const WD_MAX = 0x7fff_ffff;
const PATH_MAX = 4096;
/** More than any kernel allows a user: max_user_watches is at most this. */
const WATCHES_MAX = 1 << 24;
/** Status flags that inotify heeds; F_SETFL keeps some that mean nothing here. */
const O_ACCMODE = 3;

export function checkInstance({ id, flags, wd }: InotifyFileEntry): void {
  if ((flags & O_ACCMODE) !== 0) throw badEntry(id, 'it is not open for reading');
  if (wd.length > WATCHES_MAX) throw badEntry(id, `${wd.length} watches`);
  const numbers = new Set<number>();
  for (const watch of wd) {
    checkWatch(id, watch);
    if (numbers.has(watch.wd)) throw badEntry(id, `watch ${watch.wd} is there twice`);
    numbers.add(watch.wd);
  }
}

function checkWatch(id: number, { wd, mask, f_handle }: InotifyWdEntry): void {
  if (wd < 1 || wd > WD_MAX) throw badEntry(id, `no watch can have the number ${wd}`);
  if (!isMask(mask)) throw badEntry(id, `watch ${wd} has the mask 0x${mask.toString(16)}`);
  if (handleOf(f_handle) === 'bad') throw badEntry(id, `watch ${wd} has a handle of ${f_handle.bytes} bytes`);
  const { path } = f_handle;
  if (path === undefined) return;
  if (!path.startsWith('/') || path.includes('\0') || encodeName(path).length >= PATH_MAX)
    throw badEntry(id, `watch ${wd}: "${path}" is no absolute path`);
}
