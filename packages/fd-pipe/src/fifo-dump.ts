import type { FifoEntry, PipeDataEntry } from '@crts/image-io';
import type { FdDumpContext, FdFacts, TreeImages } from '@crts/plugin-api';
import { reads, writes } from './constants';
import { isAlone, peekContents, pipeSize, waitingBytes } from './contents';

/** A FIFO of the tree. */
interface Seen {
  readonly pipeId: number;
  hasReader: boolean;
  hasWriter: boolean;
}

interface Fifos {
  readonly byFile: Map<string, Seen>;
  readonly numbers: Set<number>;
}

const dumps = new WeakMap<TreeImages, Fifos>();
const NUMBER_END = 2 ** 32;

/** One more description of a FIFO: gives it the number of its pipe, and takes the contents where it can. */
export function noteFifo(fd: FdFacts, entry: FifoEntry, context: FdDumpContext): void {
  const fifos = dumps.get(context.task.tree) ?? { byFile: new Map(), numbers: new Set() };
  dumps.set(context.task.tree, fifos);
  const key = `${fd.dev}:${fd.ino}`;
  const seen = fifos.byFile.get(key) ?? {
    pipeId: freeNumber(fd.ino, fifos.numbers),
    hasReader: false,
    hasWriter: false,
  };
  fifos.byFile.set(key, seen);
  entry.pipe_id = seen.pipeId;
  const waiting = waitingBytes(fd.local);
  if (reads(fd.flags) && !seen.hasReader) dumpContents(fd, seen.pipeId, context);
  // A reader that poll(2) tells no hang-up has writers, or has never had one: fifo_open(), fs/pipe.c, f_pipe.
  if (reads(fd.flags) && !writes(fd.flags) && waiting === 0 && !isAlone(fd.local))
    context.afterAll(() => {
      if (!seen.hasWriter) entry.crts_unmet = true;
    });
  if (!reads(fd.flags) && waiting > 0)
    context.afterAll(() => {
      if (!seen.hasReader)
        context.log.warn(
          { pid: fd.pid, fd: fd.fd, path: fd.link, bytes: waiting },
          'FIFO: what was written and nobody of the dump reads is not carried',
        );
    });
  seen.hasReader ||= reads(fd.flags);
  seen.hasWriter ||= writes(fd.flags);
}

/** The inode's number, as with CRIU, but where another file system has the same one. */
function freeNumber(ino: bigint, taken: Set<number>): number {
  let number = Number(BigInt.asUintN(32, ino));
  while (taken.has(number)) number = (number + 1) % NUMBER_END;
  taken.add(number);
  return number;
}

function dumpContents(fd: FdFacts, pipeId: number, context: FdDumpContext): void {
  const size = pipeSize(fd.local);
  const { bytes, packets } = peekContents(fd, size);
  const value: PipeDataEntry = { pipe_id: pipeId, bytes: bytes.length, size, crts_packets: [...packets] };
  context.addItem('fifo-data', { value: value as never, extra: bytes });
}
