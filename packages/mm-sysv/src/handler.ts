import { statSync } from 'node:fs';
import type { CrtsSysvEntry, MmEntry, VmaEntry } from '@crts/image-io';
import { deviceNumber, hugePagesOf, sharedMemoryDevice } from '@crts/native-syscalls';
import {
  finishMapping,
  hugePageBytes,
  isHuge,
  type Layout,
  layoutOf,
  MAP,
  PROT,
  type RestoreContext,
  refusedFlag,
  type SharedObjects,
  type TaskImages,
  type TaskPlan,
  VMA_STATUS,
  type VmaFacts,
  type VmaHandler,
  vmaEntry,
  vmaResource,
} from '@crts/plugin-api';
import { badSegment, ofNamespace, partlyAttached, segmentGone } from './errors';
import { bootId, checkFree, isThere, makeSegment, readSegment, removeSegment, SHM_DEST } from './segment';

const NAME = 'mm-sysv';
const PAGE = 4096n;
const ID_MAX = 0x7fff_ffff;
const SIZE_MAX = 1n << 47n;
const BOOT_ID_MAX = 64;
const O_RDONLY = 0;
const O_RDWR = 2;
/** man 2 shmat. */
const SHM_RDONLY = 0o10000;
/** man 2 shmget. */
const SHM_HUGETLB = 0o4000;
const IPC_RMID = 0;

/** Whether a segment is still there, asked once in a restore. */
const present = new WeakMap<SharedObjects, Map<number, boolean>>();

/** Of an attachment: whole pages. */
const mappedBytes = ({ size, huge_flag }: CrtsSysvEntry): bigint => {
  const page = huge_flag === undefined ? PAGE : hugePageBytes(huge_flag);
  return (size + page - 1n) & ~(page - 1n);
};
const rangeOf = ({ start, end }: { start: bigint; end: bigint }) => `0x${start.toString(16)}-0x${end.toString(16)}`;

/** The kernel calls the file `SYSV` and the key, and numbers its inode like the segment: newseg(), ipc/shm.c. */
function isSegment(vma: VmaFacts): boolean {
  if (!vma.shared || !vma.deleted || !/^\/SYSV[0-9a-f]{8}$/.test(vma.name)) return false;
  if (isHuge(vma)) return hugePagesOf(deviceNumber(vma)) !== undefined;
  const { major, minor } = sharedMemoryDevice();
  return vma.major === major && vma.minor === minor;
}

export const sysvHandler: VmaHandler = {
  name: NAME,

  match: (vma) => (isSegment(vma) && refusedFlag(vma) === undefined ? 10 : 0),

  dump(vma, task) {
    const id = Number(vma.inode);
    const found = readSegment(id);
    if (typeof found === 'string') throw segmentGone(task.pid, id, found);
    const huge = isHuge(vma) ? hugePagesOf(deviceNumber(vma)) : undefined;
    const segment = huge === undefined ? found : { ...found, huge_flag: SHM_HUGETLB | huge.sizeFlag };
    const base = vma.start - vma.offset;
    if (!isCovered(task.facts.vmas.filter(isSegment), vma.inode, base, mappedBytes(segment)))
      throw partlyAttached(task.pid, id, rangeOf(vma));
    const via = `/proc/${task.hostPid}/map_files/${vma.start.toString(16)}-${vma.end.toString(16)}`;
    // Inodes of segments have numbers of their own, which memfds may have as well.
    const { dev } = statSync(via, { bigint: true });
    const memory = { dev: ~dev, ino: vma.inode, sizeBytes: segment.size, via, hugePageBytes: huge?.pageBytes };
    const shmid = task.tree.addSharedMemory(
      huge === undefined ? memory : { ...memory, sizeBytes: mappedBytes(segment) },
    );
    const status = VMA_STATUS.regular | VMA_STATUS.anonShared | VMA_STATUS.sysvipc;
    const fdflags = vma.vmFlags.has('mw') ? O_RDWR : O_RDONLY;
    const entry = vmaEntry(vma, { shmid: BigInt(shmid), pgoff: vma.offset, flags: MAP.anonymous, status, fdflags });
    return { entry: { ...entry, crts_sysv: segment }, pages: 'none' };
  },

  owns: (entry) => ((entry as VmaEntry).status & VMA_STATUS.sysvipc) !== 0,

  plan(record, images: TaskImages, plan: TaskPlan, context: RestoreContext) {
    const entry = record as VmaEntry;
    const layout = layoutOf(entry, NAME);
    const range = rangeOf(layout);
    const segment = checkedSegment(entry, range);
    const base = layout.start - entry.pgoff;
    const parts = (images.mm as MmEntry).vmas.filter(
      (vma) => sysvHandler.owns(vma) && vma.crts_sysv?.id === segment.id && vma.start - vma.pgoff === base,
    );
    const isWritable = parts.some((part) => (part.fdflags ?? O_RDWR) === O_RDWR);
    // The first part attaches the whole, as shmat(2) does.
    if (entry.pgoff === 0n) planAttach({ segment, entry, base, parts, isWritable }, plan, context);
    plan.pass(
      {
        plugin: NAME,
        stage: 'memory',
        what: `segment ${segment.id} at ${range}`,
        needs: [attached(base)],
        provides: [vmaResource(layout.start), 'vmas'],
      },
      (program) => finishMapping(program, layout, isWritable ? PROT.read | PROT.write : PROT.read),
    );
  },
};

const attached = (base: bigint) => `sysv:${base.toString(16)}`;

/** Whether parts of one attachment cover all of the segment: what was unmapped of it would come back. */
function isCovered(vmas: readonly VmaFacts[], inode: bigint, base: bigint, size: bigint): boolean {
  const parts = vmas.filter((vma) => vma.inode === inode && vma.start - vma.offset === base);
  return parts.reduce((sum, { start, end }) => sum + (end - start), 0n) === size;
}

function checkedSegment(entry: VmaEntry, range: string): CrtsSysvEntry {
  const segment = entry.crts_sysv;
  if (segment === undefined) throw ofNamespace(range);
  const bad = (what: string) => badSegment(range, what);
  if (segment.id > ID_MAX) throw bad(`segment ${segment.id}`);
  if (segment.size === 0n || segment.size > SIZE_MAX) throw bad(`a segment of ${segment.size} bytes`);
  if ((segment.mode & ~0o3777) !== 0) throw bad(`mode 0${segment.mode.toString(8)}`);
  if (segment.huge_flag !== undefined && (segment.huge_flag & ~(SHM_HUGETLB | MAP.hugeSize)) !== 0)
    throw bad(`huge pages 0x${segment.huge_flag.toString(16)}`);
  if (segment.boot_id.length > BOOT_ID_MAX) throw bad('a boot id that is none');
  if (entry.pgoff % PAGE !== 0n || entry.pgoff > entry.start || entry.shmid > BigInt(Number.MAX_SAFE_INTEGER))
    throw bad(`offset ${entry.pgoff} or number ${entry.shmid}`);
  return segment;
}

interface Attachment {
  readonly segment: CrtsSysvEntry;
  readonly entry: VmaEntry;
  readonly base: bigint;
  readonly parts: readonly (Pick<Layout, 'start' | 'end'> & object)[];
  readonly isWritable: boolean;
}

function planAttach(attachment: Attachment, plan: TaskPlan, context: RestoreContext): void {
  const { segment, entry, base, parts, isWritable } = attachment;
  const { id, size } = segment;
  const mapped = parts.reduce((sum, part) => sum + (part.end - part.start), 0n);
  if (mapped !== mappedBytes(segment))
    throw badSegment(rangeOf(entry), `${mapped} bytes are mapped of a segment of ${size} bytes`);
  const isKept = isPresent(context.shared, segment);
  const held = context.shared.hold(
    `sysv:${id}`,
    () => makeSegment(segment),
    () => removeSegment(id),
  );
  plan.pass(
    {
      plugin: NAME,
      stage: 'memory',
      what: `${isKept ? 'attach' : 'make and attach'} segment ${id}`,
      needs: ['mm:cleared'],
      provides: [attached(base)],
    },
    (program) => {
      if (!isKept) {
        const fd = program.receiveFd(held, { what: `take segment ${id}` });
        if (context.shared.first(`sysv:${id}`)) {
          const { huge_flag } = segment;
          if (huge_flag === undefined) context.shared.fill(program, fd, Number(entry.shmid), size);
          else context.shared.fill(program, fd, Number(entry.shmid), mappedBytes(segment), hugePageBytes(huge_flag));
        }
        program.call('close', [fd]);
      }
      program.call('shmat', [id, base, isWritable ? 0 : SHM_RDONLY], { expect: base, what: `attach segment ${id}` });
    },
  );
  // Marked to be destroyed with its last attachment: everybody has it by then.
  if (!isKept && (segment.mode & SHM_DEST) !== 0 && context.shared.first(`sysv:${id}:destroy`))
    plan.pass({ plugin: NAME, stage: 'sigchld', what: `mark segment ${id} to be destroyed` }, (program) => {
      program.call('shmctl', [id, IPC_RMID, null]);
    });
}

/** Whether the segment of the dump is there; if not, there must be room for it. */
function isPresent(shared: SharedObjects, segment: CrtsSysvEntry): boolean {
  const known = present.get(shared) ?? new Map<number, boolean>();
  present.set(shared, known);
  let answer = known.get(segment.id);
  if (answer === undefined) {
    answer = segment.boot_id === bootId() && isThere(segment);
    if (!answer) checkFree(segment);
    known.set(segment.id, answer);
  }
  return answer;
}
