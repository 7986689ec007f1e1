import { Finder, handleEntry } from '@crts/file-handles';
import type { InotifyFileEntry, InotifyWdEntry } from '@crts/image-io';
import type { FdDumpContext, FdFacts, FileRecord } from '@crts/plugin-api';
import { eventsQueued, watchLost } from './errors';
import { parseWatches, type WatchLine } from './fdinfo';
import { queuedBytes } from './kernel';

const FD_TYPE_INOTIFY = 8;
const O_CLOEXEC = 0o2000000;
const MINOR_BITS = 20;

export function dumpInstance(fd: FdFacts, context: FdDumpContext): FileRecord {
  const value: InotifyFileEntry = {
    id: context.id,
    flags: fd.flags & ~O_CLOEXEC,
    fown: context.fown as InotifyFileEntry['fown'],
    wd: watchEntries(fd, context),
  };
  const queued = queuedBytes(fd.local);
  if (queued > 0) {
    heedEvents(fd, context, queued);
    value.crts_queued_bytes = queued;
  }
  return { type: FD_TYPE_INOTIFY, field: 'ify', value };
}

/** The kernel tells the size of the queue, and gives the events only to who takes them away. */
function heedEvents(fd: FdFacts, { log, options }: FdDumpContext, bytes: number): void {
  const { pid, fd: number } = fd;
  if (options.inotifyEvents === 'fail') throw eventsQueued({ pid, fd: number }, bytes);
  log.warn(
    { pid, fd: number, bytes },
    options.inotifyEvents === 'provoke'
      ? `inotify: ${bytes} bytes of events were not read: the restore provokes others in their place`
      : `inotify: ${bytes} bytes of events were not read, and are dropped`,
  );
}

function watchEntries(fd: FdFacts, context: FdDumpContext): InotifyWdEntry[] {
  const lines = parseWatches(fd.fdinfo);
  if (lines.length === 0) return [];
  const { options, task } = context;
  const finder = new Finder({
    proc: `/proc/${task.hostPid}`,
    scanPaths: options.irmapScanPaths,
    force: options.forceIrmap,
  });
  try {
    return lines.map((line) => watchEntry(line, fd, context, finder));
  } finally {
    finder.close();
  }
}

function watchEntry(line: WatchLine, fd: FdFacts, context: FdDumpContext, finder: Finder): InotifyWdEntry {
  const found = finder.find(line);
  const holder = { pid: fd.pid, fd: fd.fd };
  if (found.kind === 'lost') {
    const device = `${line.device >>> MINOR_BITS}:${line.device & 0xf_ffff}`;
    throw watchLost(holder, line.wd, device, line.ino);
  }
  if (found.kind === 'handle') {
    const what = `inotify: what is watched has no name now (${found.formerPath})`;
    if (found.deleted)
      context.log.warn({ ...holder, wd: line.wd }, `${what}: the watch comes back if the tree has it open`);
    else context.log.info({ ...holder, wd: line.wd }, what);
  }
  return {
    id: context.id,
    i_ino: line.ino,
    mask: line.mask,
    ignored_mask: line.ignoredMask,
    s_dev: line.device,
    wd: line.wd,
    f_handle: { ...handleEntry(line.handle), ...(found.kind === 'path' ? { path: found.path } : {}) },
  };
}
