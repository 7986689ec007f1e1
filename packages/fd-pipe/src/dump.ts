import type { PipeDataEntry, PipeEntry } from '@crts/image-io';
import type { FdDumpContext, FdFacts, TreeImages } from '@crts/plugin-api';
import { O_PATH, reads, writes } from './constants';
import { isAlone, peekContents, pipeSize, refuseNotificationQueue } from './contents';
import { inheritKey } from './inherited';

/** A pipe of the tree, from its descriptions met so far. */
interface Seen {
  /** The descriptor that it was met at, for errors. */
  readonly fd: FdFacts;
  readonly entries: PipeEntry[];
  hasReader: boolean;
  hasWriter: boolean;
  /** Some end says that nobody has the other one. */
  isAlone: boolean;
}

/** By dump: the images under construction. */
const dumps = new WeakMap<TreeImages, Map<number, Seen>>();

/** One more description of a pipe: what is asked once of the pipe is asked of the first that can answer. */
export function noteEnd(fd: FdFacts, entry: PipeEntry, context: FdDumpContext): void {
  const pipeId = entry.pipe_id;
  const pipes = dumps.get(context.task.tree) ?? new Map<number, Seen>();
  dumps.set(context.task.tree, pipes);
  let seen = pipes.get(pipeId);
  if (seen === undefined) {
    seen = { fd, entries: [], hasReader: false, hasWriter: false, isAlone: false };
    pipes.set(pipeId, seen);
    const pipe = seen;
    const isExternal = context.options.external?.has('pipe', String(pipeId)) === true;
    context.afterAll(() => markOutside(pipe, isExternal, context));
  }
  seen.entries.push(entry);
  if ((fd.flags & O_PATH) !== 0) return;
  if (!seen.hasReader && !seen.hasWriter) {
    refuseNotificationQueue(fd);
    seen.isAlone = isAlone(fd.local);
  }
  if (reads(fd.flags) && !seen.hasReader) dumpContents(fd, pipeId, context);
  if (writes(fd.flags) && !seen.hasWriter) dumpSize(fd, pipeId, seen, context);
  seen.hasReader ||= reads(fd.flags);
  seen.hasWriter ||= writes(fd.flags);
}

function dumpContents(fd: FdFacts, pipeId: number, context: FdDumpContext): void {
  const size = pipeSize(fd.local);
  const { bytes, packets } = peekContents(fd, size);
  const value: PipeDataEntry = { pipe_id: pipeId, bytes: bytes.length, size, crts_packets: [...packets] };
  context.addItem('pipes-data', { value: value as never, extra: bytes });
}

/** Where only writers are left nobody reads what is in it; its size counts on. */
function dumpSize(fd: FdFacts, pipeId: number, seen: Seen, context: FdDumpContext): void {
  const size = pipeSize(fd.local);
  context.afterAll(() => {
    if (seen.hasReader) return;
    const value: PipeDataEntry = { pipe_id: pipeId, bytes: 0, size, crts_packets: [] };
    context.addItem('pipes-data', { value: value as never, extra: Buffer.alloc(0) });
  });
}

/**
 * An end whose other end is nowhere in the tree, and that is not alone, has it outside: such a pipe cannot be made, and has to be
 * handed back to the restore. That a process outside has a further duplicate of an end that the tree has too is not to be seen.
 */
function markOutside(pipe: Seen, isExternal: boolean, { log }: FdDumpContext): void {
  const { fd, entries, hasReader, hasWriter, isAlone } = pipe;
  const isWhole = (hasReader && hasWriter) || ((hasReader || hasWriter) && isAlone);
  if (isWhole && !isExternal) return;
  for (const entry of entries) entry.crts_outside = true;
  if (isExternal) return;
  const does = hasReader ? 'writes' : hasWriter ? 'reads' : 'uses';
  const key = inheritKey(entries[0]!.pipe_id);
  log.warn(
    { code: 'CRTS_PIPE_FOREIGN', pid: fd.pid, fd: fd.fd, path: fd.link },
    `a process outside the dump ${does} this pipe: the restore has to be handed another one, --inherit-fd 'fd[N]:${key}'`,
  );
}
