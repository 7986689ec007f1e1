import type { PipeDataEntry } from '@crts/image-io';
import type { FdDumpContext, FdFacts, TreeImages } from '@crts/plugin-api';
import { O_PATH, reads, writes } from './constants';
import { isAlone, peekContents, pipeSize, refuseNotificationQueue } from './contents';
import { foreignEnd } from './errors';

/** A pipe of the tree, from its descriptions met so far. */
interface Seen {
  /** The descriptor that it was met at, for errors. */
  readonly fd: FdFacts;
  hasReader: boolean;
  hasWriter: boolean;
  /** Some end says that nobody has the other one. */
  isAlone: boolean;
}

/** By dump: the images under construction. */
const dumps = new WeakMap<TreeImages, Map<number, Seen>>();

/** One more description of a pipe: what is asked once of the pipe is asked of the first that can answer. */
export function noteEnd(fd: FdFacts, pipeId: number, context: FdDumpContext): void {
  const pipes = dumps.get(context.task.tree) ?? new Map<number, Seen>();
  dumps.set(context.task.tree, pipes);
  let seen = pipes.get(pipeId);
  if (seen === undefined) {
    seen = { fd, hasReader: false, hasWriter: false, isAlone: false };
    pipes.set(pipeId, seen);
    const pipe = seen;
    if (context.options.external?.has('pipe', String(pipeId)) !== true) context.afterAll(() => refuseForeign(pipe));
  }
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
 * An end whose other end is nowhere in the tree must have none at all. That a process outside has a further duplicate of an
 * end that the tree has too is not to be seen, as with CRIU.
 */
function refuseForeign({ fd, hasReader, hasWriter, isAlone }: Seen): void {
  if ((hasReader && hasWriter) || ((hasReader || hasWriter) && isAlone)) return;
  throw foreignEnd(fd.pid, fd.fd, fd.link, hasReader ? 'writes' : hasWriter ? 'reads' : 'uses');
}
