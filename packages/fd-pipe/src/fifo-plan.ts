import type { FifoEntry, RegFileEntry } from '@crts/image-io';
import { type Arg, type FdPlanContext, type Program, setStatusFlags } from '@crts/plugin-api';
import { NOT_PASSED, O_ACCMODE, O_CLOEXEC, O_NONBLOCK, O_RDWR } from './constants';
import { fifoBusy, fifoNotOpened } from './errors';
import type { PipeData } from './image';
import { fillPipe } from './plan';

const POLLIN = 1;
const POLLFD_SIZE = 8;

/** A description of a FIFO, and the file by which it is opened. */
export interface Fifo {
  readonly entry: FifoEntry;
  readonly file: RegFileEntry;
}

/**
 * All descriptions of one FIFO. While it is open for reading and writing nobody has to wait for another end, and no reader
 * takes it for never met; those that are so are opened first and alone.
 */
export function openFifos(
  fifos: readonly Fifo[],
  data: PipeData | undefined,
  program: Program,
  context: FdPlanContext,
): readonly Arg[] {
  const areUnmet = fifos.every(({ entry }) => entry.crts_unmet === true);
  const { file } = fifos[0]!;
  if (areUnmet && (data === undefined || data.bytes.length === 0)) {
    const opened = fifos.map((fifo) => openFifo(program, fifo.file, context));
    if (data !== undefined) fillPipe(program, opened[0]!, data);
    finish(fifos, opened, program);
    return opened;
  }
  const both = openFifo(program, { ...file, flags: (file.flags & ~O_ACCMODE) | O_RDWR }, context);
  const opened = fifos.map((fifo) => openFifo(program, fifo.file, context));
  if (data !== undefined) {
    if (data.bytes.length > 0) refuseBusy(program, both, file.name);
    fillPipe(program, both, data);
  }
  program.call('close', [both]);
  finish(fifos, opened, program);
  return opened;
}

/** One description, which does not wait yet. */
export function openFifo(program: Program, { id, name, ext, flags }: RegFileEntry, context: FdPlanContext): Arg {
  return context.openFile(program, { id, name, ext }, (flags & ~NOT_PASSED) | O_NONBLOCK | O_CLOEXEC, {
    what: `open ${name}`,
    fail: (errno) => fifoNotOpened(name, errno),
  });
}

function finish(fifos: readonly Fifo[], opened: readonly Arg[], program: Program): void {
  fifos.forEach(({ file: { flags } }, index) => {
    setStatusFlags(program, opened[index]!, flags, (flags & ~NOT_PASSED) | O_NONBLOCK);
  });
}

/** What was in the FIFO is in it still where a process outside has it open: it must not be there twice. */
function refuseBusy(program: Program, both: Arg, name: string): void {
  const pollfd = Buffer.alloc(POLLFD_SIZE);
  pollfd.writeInt16LE(POLLIN, 4);
  const data = program.bytes(pollfd);
  program.store(data, 0, both, 4);
  program.call('poll', [data, 1, 0], { expect: 0, what: 'nothing is in it', fail: () => fifoBusy(name) });
}
