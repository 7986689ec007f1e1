import type { VmaEntry } from '@crts/image-io';
import { deviceNumber, hugePagesOf } from '@crts/native-syscalls';
import {
  finishMapping,
  firstProtection,
  isHuge,
  layoutOf,
  MAP,
  type MappingHead,
  PROT,
  type Program,
  piecesOf,
  type RestoreContext,
  refusedFlag,
  type TaskImages,
  type TaskPlan,
  VMA_STATUS,
  type VmaHandler,
  vmaEntry,
  vmaResource,
} from '@crts/plugin-api';
import { notMapped } from './errors';

const NAME = 'mm-file';
const O_RDONLY = 0;
const O_RDWR = 2;

export const fileHandler: VmaHandler = {
  name: NAME,

  // Names of System V segments and shared anonymous memory look like those of deleted files: other kinds.
  match: (vma) =>
    vma.inode !== 0n &&
    vma.name.startsWith('/') &&
    !(vma.deleted && /^\/(secretmem$|SYSV|anon_hugepage|\[aio\])/.test(vma.name)) &&
    // A private mapping of shared anonymous memory is one of a file; a shared one is @crts/mm-shmem's.
    !(vma.deleted && vma.shared && vma.name === '/dev/zero') &&
    refusedFlag(vma) === undefined
      ? 10
      : 0,

  dump(vma, task) {
    // VM_MAYWRITE on a shared mapping tells that its file was open for writing: do_mmap(), mm/mmap.c.
    const flags = vma.shared && vma.vmFlags.has('mw') ? O_RDWR : O_RDONLY;
    const range = `${vma.start.toString(16)}-${vma.end.toString(16)}`;
    const id = task.files.addPath(task, {
      path: vma.name,
      deleted: vma.deleted,
      via: `/proc/${task.hostPid}/map_files/${range}`,
      flags,
      role: `mapping ${range}`,
    });
    const kind = vma.deleted && /^\/(memfd:|dev\/zero$)/.test(vma.name) ? VMA_STATUS.memfd : 0;
    const status = VMA_STATUS.regular | kind | (vma.shared ? VMA_STATUS.fileShared : VMA_STATUS.filePrivate);
    // CRIU takes the size from here; the file itself has it.
    const size = isHuge(vma) ? (hugePagesOf(deviceNumber(vma))?.sizeFlag ?? 0) : 0;
    return {
      entry: vmaEntry(vma, { shmid: BigInt(id), pgoff: vma.offset, flags: size, status, fdflags: flags }),
      pages: vma.shared ? 'none' : 'private',
    };
  },

  owns: (entry) => ((entry as VmaEntry).status & (VMA_STATUS.filePrivate | VMA_STATUS.fileShared)) !== 0,

  plan(record, _images: TaskImages, plan: TaskPlan, context: RestoreContext) {
    const entry = record as VmaEntry;
    const layout = layoutOf(entry, NAME);
    const shared = (entry.status & VMA_STATUS.fileShared) !== 0;
    const runs = shared ? [] : context.pages.runs(layout.start, layout.end);
    const fileId = Number(entry.shmid);
    const path = context.files.pathOf(fileId) ?? `file ${fileId}`;
    const range = { start: layout.start, end: layout.end };
    const prot = firstProtection(layout, runs.length > 0);
    const flags = (shared ? MAP.shared : MAP.private) | MAP.fixedNoReplace | (layout.flags & MAP.noReserve);
    const head = headOf(entry, path);
    const map = (program: Program): void => {
      // CRIU leaves the entry of a mapped file at O_RDONLY and keeps the flags with the mapping.
      const fd = context.files.open(program, fileId, entry.fdflags);
      const isHugeTlb = (layout.flags & MAP.hugeTlb) !== 0;
      const whole = [{ start: range.start, size: range.end - range.start }];
      for (const { start, size } of shared || isHugeTlb ? whole : piecesOf(range, prot, flags))
        program.call('mmap', [start, size, prot, flags, fd, entry.pgoff + (start - range.start)], {
          expect: start,
          what: `map ${path}`,
          ...(isHugeTlb ? { fail: (errno) => notMapped(path, errno) } : {}),
        });
      program.call('close', [fd]);
    };
    const finish = (program: Program): void => finishMapping(program, layout, prot);
    if (shared)
      plan.pass({ ...head, stage: 'memory' }, (program) => {
        map(program);
        finish(program);
      });
    // No spread in what every mapping of every task has: V8 would make a shape of its own for each.
    else
      plan.privateMapping(head, {
        start: layout.start,
        end: layout.end,
        // Of a file that is made by the restore, contents and size may come later.
        source: context.files.record(fileId).field === 'reg' ? sourceOf(entry, prot, flags) : undefined,
        hasPages: runs.length > 0,
        prot,
        map,
        finish,
      });
  },
};

/** By entry: tasks with equal images have the same ones, and texts of addresses cost more than all else here. */
const heads = new WeakMap<VmaEntry, { readonly path: string; readonly head: MappingHead }>();

function headOf(entry: VmaEntry, path: string): MappingHead {
  const known = heads.get(entry);
  if (known?.path === path) return known.head;
  const head = {
    plugin: NAME,
    what: `${path} at 0x${entry.start.toString(16)}`,
    needs: ['mm:cleared'],
    provides: [vmaResource(entry.start), 'vmas'],
  };
  heads.set(entry, { path, head });
  return head;
}

/** The place in the file that would lie at address 0 tells parts of one mapping from others. */
function sourceOf(
  { shmid, pgoff, start, flags: entryFlags }: VmaEntry,
  prot: number,
  flags: number,
): string | undefined {
  // What may only be executed gets a protection key when it is mapped: it has to come in its turn. Huge pages are reserved by
  // who maps them.
  return prot === PROT.exec || (entryFlags & MAP.hugeTlb) !== 0
    ? undefined
    : `file ${shmid} from ${pgoff - start} 0x${flags.toString(16)}`;
}
