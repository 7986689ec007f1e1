import type { MmEntry, VmaEntry } from '@crts/image-io';
import { closeFd, memfd, pwriteFull } from '@crts/native-syscalls';
import {
  finishMapping,
  layoutOf,
  MAP,
  PROT,
  type Program,
  type RestoreContext,
  refusedFlag,
  type TaskImages,
  type TaskPlan,
  VMA_STATUS,
  type VmaFacts,
  type VmaHandler,
  vmaEntry,
  vmaResource,
} from '@crts/plugin-api';
import { badRing, noRing, tooManyCpus } from './errors';
import { EVENT_BYTES, eventsOf, HEADER_BYTES, parseRing, possibleCpus, type Ring, requestsOf, stepsTo } from './ring';

const NAME = 'mm-aio';
const MREMAP_MAYMOVE_FIXED = 3;
const O_WRONLY = 1;
const AT_FDCWD = -100;
/** struct iocb, include/uapi/linux/aio_abi.h. */
const IOCB = { size: 64, opcode: 16, fd: 20, buffer: 24, length: 32, pwrite: 1 } as const;
/** A ring that a machine of 8192 CPUs would make, and more than fs.aio-max-nr lets pass. */
const RING_MAX = 1n << 26n;

export const rangeOf = ({ start, end }: { start: bigint; end: bigint }) =>
  `0x${start.toString(16)}-0x${end.toString(16)}`;

/** aio_setup_ring(), fs/aio.c, calls its file so. */
export function isRing(vma: VmaFacts): boolean {
  return vma.shared && vma.deleted && vma.name === '/[aio]';
}

export const ringHandler: VmaHandler = {
  name: NAME,

  match: (vma) => (isRing(vma) && refusedFlag(vma) === undefined ? 20 : 0),

  dump: (vma, { pid, log }) => {
    log.warn(
      { pid },
      `AIO ring ${rangeOf(vma)}: requests that are under way, of which the kernel does not tell, are lost`,
    );
    // Its pages are the kernel's: who wrote them is not known, so all go.
    return { entry: vmaEntry(vma, { shmid: 0n, pgoff: 0n, status: VMA_STATUS.aioRing }), pages: 'all' };
  },

  owns: (entry) => ((entry as VmaEntry).status & VMA_STATUS.aioRing) !== 0,

  plan(record, images: TaskImages, plan: TaskPlan, context: RestoreContext) {
    const entry = record as VmaEntry;
    const layout = layoutOf(entry, NAME);
    const { start, end } = layout;
    const range = rangeOf(layout);
    const ring = checkedRing(start, end, images, context);
    plan.pass(
      {
        plugin: NAME,
        stage: 'memory',
        what: `AIO ring ${range}`,
        needs: ['mm:cleared'],
        provides: [vmaResource(start), 'vmas'],
      },
      (program) => {
        planRing(program, start, end - start, ring, context);
        fillEvents(program, start, end, context);
        finishMapping(program, layout, PROT.read | PROT.write);
      },
    );
  },
};

function checkedRing(start: bigint, end: bigint, images: TaskImages, context: RestoreContext): Ring {
  const range = rangeOf({ start, end });
  if (end - start > RING_MAX) throw badRing(range, 'too large for one');
  const header = context.pages.read(start, HEADER_BYTES);
  const ring = header === undefined ? 'its first page is not stored' : parseRing(header, Number(end - start));
  if (typeof ring === 'string') throw badRing(range, ring);
  if (!((images.mm as MmEntry).aios ?? []).some(({ id }) => id === start)) throw badRing(range, 'it has no entry');
  const events = eventsOf(requestsOf(ring.nr), possibleCpus());
  if (events !== ring.nr) throw tooManyCpus(range, events, ring.nr);
  return ring;
}

/**
 * A new ring is brought to the place in the cycle where the old one was, by requests that change nothing, and moved to its
 * address. Until then other memory is there: it keeps the kernel from choosing that address, and holds what the calls need.
 */
function planRing(program: Program, start: bigint, length: bigint, ring: Ring, context: RestoreContext): void {
  const range = rangeOf({ start, end: start + length });
  const fail = (call: string) => (errno: string | undefined) => noRing(range, call, errno);
  const anonymous = MAP.private | MAP.anonymous | MAP.fixedNoReplace;
  program.call('mmap', [start, length, PROT.read | PROT.write, anonymous, -1, 0], { expect: start });
  const id = program.out(8);
  program.call('io_setup', [requestsOf(ring.nr), id], { what: `make AIO ring ${range}`, fail: fail('io_setup') });
  const { read, left } = stepsTo(ring);
  const count = Math.max(left, ...read, 0);
  if (count > 0) {
    const sink = program.call('openat', [AT_FDCWD, program.cstring('/dev/null'), O_WRONLY, 0]);
    const requests = program.receiveFd(
      context.shared.lend(() => requestsFile(start, count)),
      { what: 'take requests' },
    );
    const pointers = start + BigInt(IOCB.size);
    const size = IOCB.size + 8 * count;
    const events = start + BigInt(Math.ceil(size / EVENT_BYTES) * EVENT_BYTES);
    // The number goes into the request, on which all pointers lead.
    const number = program.bytes(Buffer.alloc(4));
    program.store(number, 0, sink, 4);
    program.call('pwrite64', [requests, number, 4, IOCB.fd], { expect: 4 });
    program.call('pread64', [requests, start, size, 0], { expect: size });
    program.call('close', [requests]);
    for (const portion of read) {
      program.call('io_submit', [id.u64(0), portion, pointers], { expect: portion, fail: fail('io_submit') });
      program.call('io_getevents', [id.u64(0), portion, portion, events, null], { expect: portion });
    }
    if (left > 0) program.call('io_submit', [id.u64(0), left, pointers], { expect: left, fail: fail('io_submit') });
    program.call('close', [sink]);
  }
  program.call('mremap', [id.u64(0), length, length, MREMAP_MAYMOVE_FIXED, start], {
    expect: start,
    what: `move AIO ring ${range}`,
    fail: fail('mremap'),
  });
}

/** A request to write a byte to what the task has /dev/null as, and pointers to it, as they are to lie at `start`. */
function requestsFile(start: bigint, count: number): number {
  const bytes = Buffer.alloc(IOCB.size + 8 * count);
  bytes.writeUInt16LE(IOCB.pwrite, IOCB.opcode);
  bytes.writeBigUInt64LE(start, IOCB.buffer);
  bytes.writeBigUInt64LE(1n, IOCB.length);
  for (let index = 0; index < count; index++) bytes.writeBigUInt64LE(start, IOCB.size + 8 * index);
  const fd = memfd('requests', bytes.length);
  try {
    pwriteFull(fd, bytes, 0n);
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/** Events that wait are put where they were; the header is the kernel's. */
function fillEvents(program: Program, start: bigint, end: bigint, { pages }: RestoreContext): void {
  const first = start + BigInt(HEADER_BYTES);
  const runs = pages.runs(start, end);
  const files = new Map<number, ReturnType<Program['receiveFd']>>();
  for (const { addr, lengthBytes, fileOffset, file } of runs) {
    const skipped = addr < first ? first - addr : 0n;
    const fd = files.get(file) ?? program.receiveFd(pages.files[file]!, { what: 'take the events' });
    files.set(file, fd);
    program.call('pread64', [fd, addr + skipped, lengthBytes - skipped, fileOffset + skipped], {
      expect: lengthBytes - skipped,
    });
  }
  for (const fd of files.values()) program.call('close', [fd]);
}
