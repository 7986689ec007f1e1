/** An image set as read: validated as far as the engine itself uses it. */
import type {
  FdinfoEntry,
  FileEntry,
  ImageReader,
  InventoryEntry,
  MmEntry,
  PstreeEntry,
  TaskKobjIdsEntry,
} from '@crts/image-io';
import type { FileRecord, ImageRecord, TaskImages } from '@crts/plugin-api';
import { badImage, noPluginForImage, otherFormat, treeTooLarge } from './errors';

const IMAGE_VERSION = 2;
/** Highest pid of any kernel: PID_MAX_LIMIT, include/linux/threads.h. */
const PID_MAX = 4 * 1024 * 1024;
/** fs.nr_open can be raised to this: sysctl_nr_open_max, fs/file.c. */
const FD_MAX = 0x7fff_ffc0;

export interface ImageSet {
  readonly pid: number;
  readonly pgid: number;
  readonly sid: number;
  readonly images: TaskImages;
  readonly fdinfo: readonly FdinfoEntry[];
  /** File descriptions by id. */
  readonly files: ReadonlyMap<number, FileRecord>;
}

export function readImageSet(reader: ImageReader): ImageSet {
  const inventory = reader.readOne<InventoryEntry>('inventory');
  if (inventory.img_version !== IMAGE_VERSION && inventory.img_version !== 1) throw otherFormat(inventory.img_version);
  const tree = reader.read('pstree') as PstreeEntry[];
  if (tree.length !== 1) throw treeTooLarge(`${tree.length} processes`);
  const { pid, pgid, sid, threads } = tree[0]!;
  if (threads.length > 1) throw treeTooLarge(`${threads.length} threads`);
  if (pid < 1 || pid > PID_MAX) throw badImage('CRTS_IMAGE_FIELD', 'pstree.img', `pid ${pid} is out of range`);
  const ids = reader.readOne<TaskKobjIdsEntry>('ids', pid);
  const images = {
    core: reader.readOne('core', pid),
    mm: reader.readOne('mm', pid),
    fs: reader.readOne('fs', pid),
    locks: optional(reader, 'filelocks'),
    ttys: optional(reader, 'tty-info'),
  };
  if (reader.has('remap-fpath')) throw noPluginForImage('unlinked files (remap-fpath.img)');
  const files = readFiles(reader);
  const fdinfo = readFdinfo(reader, ids.files_id, files);
  checkMappings(images.mm as MmEntry, pid);
  return { pid, pgid, sid, images, fdinfo, files };
}

/** An image without entries is not written. */
function optional(reader: ImageReader, kind: string): ImageRecord[] {
  return reader.has(kind) ? reader.read(kind) : [];
}

function readFiles(reader: ImageReader): Map<number, FileRecord> {
  const files = new Map<number, FileRecord>();
  for (const entry of reader.read('files') as FileEntry[]) {
    const { type, id, ...fields } = entry;
    const [field, value] = Object.entries(fields).find(([, one]) => one !== undefined) ?? [];
    if (field === undefined) throw badImage('CRTS_IMAGE_FIELD', 'files.img', `entry of file ${id} is empty`);
    if (files.has(id)) throw badImage('CRTS_IMAGE_REFERENCE', 'files.img', `two entries have the id ${id}`);
    files.set(id, { type, field, value: value as ImageRecord });
  }
  return files;
}

function readFdinfo(reader: ImageReader, id: number, files: ReadonlyMap<number, FileRecord>): FdinfoEntry[] {
  const path = `fdinfo-${id}.img`;
  const entries = (reader.read('fdinfo', id) as FdinfoEntry[]).sort((a, b) => a.fd - b.fd);
  entries.forEach((entry, index) => {
    if (entry.fd > FD_MAX) throw badImage('CRTS_IMAGE_FIELD', path, `fd ${entry.fd} is out of range`);
    if (entries[index - 1]?.fd === entry.fd)
      throw badImage('CRTS_IMAGE_REFERENCE', path, `fd ${entry.fd} is there twice`);
    if (!files.has(entry.id))
      throw badImage(
        'CRTS_IMAGE_REFERENCE',
        path,
        `fd ${entry.fd} refers to file ${entry.id}, which files.img does not have`,
      );
  });
  return entries;
}

/** VMA_AREA_GUARD of the format: a region inside a mapping. */
const GUARD_STATUS = 0x10000;

function checkMappings(mm: MmEntry, pid: number): void {
  const ranges = mm.vmas
    .filter((vma) => (vma.status & GUARD_STATUS) === 0)
    .sort((a, b) => (a.start < b.start ? -1 : 1));
  ranges.forEach((vma, index) => {
    const before = ranges[index - 1];
    if (before !== undefined && before.end > vma.start)
      throw badImage('CRTS_IMAGE_REFERENCE', `mm-${pid}.img`, `mappings overlap at 0x${vma.start.toString(16)}`);
  });
}
