import { statSync } from 'node:fs';
import type { MmEntry, VmaEntry } from '@crts/image-io';
import { deviceNumber, hasAnonymousNames, hugePagesOf, sharedMemoryDevice } from '@crts/native-syscalls';
import {
  anonymousNameOf,
  finishMapping,
  firstProtection,
  hugePageBytes,
  isHuge,
  layoutOf,
  MAP,
  type RestoreContext,
  type Result,
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
import { badObject } from './errors';
import { makeObject } from './object';

const NAME = 'mm-shmem';
const PAGE = 4096n;
const SIZE_MAX = 2n ** 63n;

/** What a task has received of an object, for all its mappings of it. */
interface Received {
  fd: Result | undefined;
}

/** Sizes of the objects of a restore: CRIU tells them only by the mappings of all tasks. */
const sizes = new WeakMap<SharedObjects, Map<number, bigint>>();
const received = new WeakMap<TaskPlan, Map<number, Received>>();

/** mmap(2) of /dev/zero, or of nothing, makes an object with this name: shmem_zero_setup(), mm/shmem.c. */
function isSharedAnonymous(vma: VmaFacts): boolean {
  if (isHuge(vma)) return vma.shared && vma.deleted && vma.name === '/anon_hugepage' && hugePages(vma) !== undefined;
  const isNamed = anonymousNameOf(vma) !== undefined;
  if (!vma.shared || !(isNamed || (vma.deleted && vma.name === '/dev/zero'))) return false;
  const { major, minor } = sharedMemoryDevice();
  return vma.major === major && vma.minor === minor;
}

/** Huge TLB pages are of another device for each size. */
function hugePages(vma: VmaFacts) {
  return isHuge(vma) ? hugePagesOf(deviceNumber(vma)) : undefined;
}

export const sharedHandler: VmaHandler = {
  name: NAME,

  match: (vma) => (isSharedAnonymous(vma) && refusedFlag(vma) === undefined ? 10 : 0),

  dump(vma, task) {
    const via = `/proc/${task.hostPid}/map_files/${vma.start.toString(16)}-${vma.end.toString(16)}`;
    // Mappings need not cover the object: what one was cut off from comes back when it grows again (mremap).
    const { dev, ino, size } = statSync(via, { bigint: true });
    const huge = hugePages(vma);
    const shmid = task.tree.addSharedMemory({ dev, ino, sizeBytes: size, via, hugePageBytes: huge?.pageBytes });
    const status = VMA_STATUS.regular | VMA_STATUS.anonShared;
    const flags = MAP.anonymous | (huge?.sizeFlag ?? 0);
    const entry = vmaEntry(vma, { shmid: BigInt(shmid), pgoff: vma.offset, flags, status });
    return { entry: { ...entry, crts_object_size: size }, pages: 'none' };
  },

  owns: (entry) => {
    const { status } = entry as VmaEntry;
    return (status & VMA_STATUS.anonShared) !== 0 && (status & (VMA_STATUS.sysvipc | VMA_STATUS.aioRing)) === 0;
  },

  plan(record, images: TaskImages, plan: TaskPlan, context: RestoreContext) {
    const entry = record as VmaEntry;
    const { name, ...rest } = layoutOf(entry, NAME);
    if (name !== undefined && !hasAnonymousNames())
      context.log.warn({}, `the name ${name} of a mapping is lost: the kernel has no CONFIG_ANON_VMA_NAME`);
    const layout = hasAnonymousNames() ? { ...rest, name } : rest;
    const range = `0x${layout.start.toString(16)}-0x${layout.end.toString(16)}`;
    const shmid = checkedObject(entry, hugeOf(layout.flags) ?? PAGE, range);
    noteSize(context.shared, shmid, entry);
    const object = planObject(shmid, layout.flags, images, plan, context);
    plan.pass(
      {
        plugin: NAME,
        stage: 'memory',
        what: `shared memory ${shmid} at ${range}`,
        needs: ['mm:cleared', `shmem:${shmid}`],
        provides: [vmaResource(layout.start), 'vmas'],
      },
      (program) => {
        const prot = firstProtection(layout, false);
        const flags = MAP.shared | MAP.fixedNoReplace | (layout.flags & MAP.noReserve);
        program.call('mmap', [layout.start, layout.end - layout.start, prot, flags, object.fd!, entry.pgoff], {
          expect: layout.start,
          what: `map ${range}`,
        });
        finishMapping(program, layout, prot);
      },
    );
  },
};

function checkedObject(entry: VmaEntry, pageBytes: bigint, range: string): number {
  const size = entry.crts_object_size ?? 0n;
  if (entry.pgoff % pageBytes !== 0n || entry.pgoff >= SIZE_MAX) throw badObject(range, `offset ${entry.pgoff}`);
  if ((pageBytes !== PAGE && size % pageBytes !== 0n) || size >= SIZE_MAX)
    throw badObject(range, `an object of ${size} bytes`);
  if (entry.shmid > BigInt(Number.MAX_SAFE_INTEGER)) throw badObject(range, `shmid ${entry.shmid}`);
  return Number(entry.shmid);
}

function noteSize(shared: SharedObjects, shmid: number, entry: VmaEntry): void {
  const known = sizes.get(shared) ?? new Map<number, bigint>();
  sizes.set(shared, known);
  const size = entry.crts_object_size ?? entry.pgoff + (entry.end - entry.start);
  if (size > (known.get(shmid) ?? 0n)) known.set(shmid, size);
}

/** The object's descriptor comes before the task's mappings of it and goes after all mappings. */
function planObject(
  shmid: number,
  flags: number,
  images: TaskImages,
  plan: TaskPlan,
  context: RestoreContext,
): Received {
  const objects = received.get(plan) ?? new Map<number, Received>();
  received.set(plan, objects);
  const known = objects.get(shmid);
  if (known !== undefined) return known;
  const object: Received = { fd: undefined };
  objects.set(shmid, object);
  const sizeOf = () => sizes.get(context.shared)!.get(shmid)!;
  const held = context.shared.hold(`shmem:${shmid}`, () => makeObject(sizeOf(), isReserved(shmid, images), flags));
  plan.pass(
    {
      plugin: NAME,
      stage: 'memory',
      what: `shared memory ${shmid}`,
      needs: ['mm:cleared'],
      provides: [`shmem:${shmid}`],
    },
    (program) => {
      object.fd = program.receiveFd(held, { what: `take shared memory ${shmid}` });
      if (context.shared.first(`shmem:${shmid}`))
        context.shared.fill(program, object.fd, shmid, sizeOf(), hugeOf(flags));
    },
  );
  plan.pass({ plugin: NAME, stage: 'memory', what: `let go of shared memory ${shmid}`, needs: ['vmas'] }, (program) => {
    program.call('close', [object.fd!]);
  });
  return object;
}

function hugeOf(flags: number): bigint | undefined {
  return (flags & MAP.hugeTlb) === 0 ? undefined : hugePageBytes(flags);
}

/** MAP_NORESERVE is of the object too: whether its size counts as promised memory. */
function isReserved(shmid: number, images: TaskImages): boolean {
  const { vmas } = images.mm as MmEntry;
  return vmas.some(
    (vma) => sharedHandler.owns(vma) && Number(vma.shmid) === shmid && (vma.flags & MAP.noReserve) === 0,
  );
}
