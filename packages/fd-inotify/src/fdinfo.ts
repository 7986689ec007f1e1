/** What fdinfo prints of an inotify instance: inotify_fdinfo(), fs/notify/fdinfo.c. */
import { type FileHandle, parseFileHandle } from '@crts/file-handles';

export interface WatchLine {
  readonly wd: number;
  readonly ino: bigint;
  /** major << 20 | minor of the file system. */
  readonly device: number;
  /** Events, IN_EXCL_UNLINK and IN_ONESHOT (these two since Linux 5.18). */
  readonly mask: number;
  readonly ignoredMask: number;
  readonly handle: FileHandle | undefined;
}

const LINE =
  /^inotify wd:([0-9a-f]+) ino:([0-9a-f]+) sdev:([0-9a-f]+) mask:([0-9a-f]+) ignored_mask:([0-9a-f]+)(.*)$/gm;

export function parseWatches(fdinfo: string): WatchLine[] {
  return [...fdinfo.matchAll(LINE)].map(([, wd, ino, device, mask, ignored, rest]) => ({
    wd: Number.parseInt(wd!, 16),
    ino: BigInt(`0x${ino}`),
    device: Number.parseInt(device!, 16),
    mask: Number.parseInt(mask!, 16),
    ignoredMask: Number.parseInt(ignored!, 16),
    handle: parseFileHandle(rest!),
  }));
}
